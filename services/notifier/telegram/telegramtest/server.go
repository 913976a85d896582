// Package telegramtest is a Bot API server for tests and for trying things by hand. It speaks the real protocol of
// the methods that the monitor uses, checks messages as Telegram does, keeps what it accepted, and fails on demand.
//
// It shares no code with the client, so that the two cannot be wrong alike.
package telegramtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Token is a well-formed bot token. The server accepts any, unless Only was called.
const Token = "123456:TEST-token_of_the_fake_bot"

// BotName is the bot's user name, without "@".
const BotName = "fake_bot"

// Message is a message that was accepted.
type Message struct {
	ID        int64
	Chat      string // the chat_id as sent: a number or "@name"
	Thread    int64  // message_thread_id, 0 for none
	Text      string // as sent
	Plain     string // as people read it: tags removed, entities resolved
	ParseMode string // "HTML" or ""
	ReplyTo   int64  // 0 for none
	NoPreview bool   // link previews are off
	Buttons   [][]Button
	At        time.Time

	strictReply bool // it may not be sent without the message that it answers
}

// Button is one of an inline keyboard.
type Button struct {
	Text string `json:"text"`
	Data string `json:"callback_data"`
	URL  string `json:"url"`
}

// Server is a running fake.
type Server struct {
	url    string
	server *http.Server
	closed chan struct{}
	done   chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something happened
	token    string
	messages []Message
	calls    map[string]int
	next     map[string][]Answer
	always   map[string]Answer
	methods  map[string][]Answer
	known    map[string]bool // nil for every chat
	watch    func(Message)
	updates  updates
}

// New starts a server on a free port of 127.0.0.1. It panics when there is none, as httptest does.
func New() *Server {
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return s
}

// Listen starts a server on an address.
func Listen(addr string) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("fake Telegram: %w", err)
	}
	s := &Server{
		url: "http://" + l.Addr().String(), closed: make(chan struct{}), done: make(chan struct{}),
		changed: make(chan struct{}), calls: make(map[string]int),
		next: make(map[string][]Answer), always: make(map[string]Answer), methods: make(map[string][]Answer),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{bot}/{method}", s.serve)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends by Close only
	}()
	return s, nil
}

// URL is what TELEGRAM_API_URL must be.
func (s *Server) URL() string { return s.url }

// Close ends the server and every request that hangs in it.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	_ = s.server.Close()
	<-s.done
}

// Only makes the server refuse every other token with 401.
func (s *Server) Only(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Watch calls f with every message at the moment it is accepted.
func (s *Server) Watch(f func(Message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = f
}

// Next gives the next calls for a chat these answers, one each, before all others. Chat "" is any chat.
func (s *Server) Next(chat string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next[chat] = append(s.next[chat], answers...)
}

// Always gives every call for a chat this answer from now on; OK ends it. Chat "" is every chat without its own.
func (s *Server) Always(chat string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always[chat] = a
}

// NextOf gives the next calls of a method, other than sendMessage, these answers.
func (s *Server) NextOf(method string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(method)
	s.methods[key] = append(s.methods[key], answers...)
}

// Know makes these the only chats that the bot is in.
func (s *Server) Know(chats ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = make(map[string]bool)
	for _, c := range chats {
		s.known[c] = true
	}
}

// Messages are all that were accepted so far, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Calls is how many times sendMessage was called for a chat, accepted or not.
func (s *Server) Calls(chat string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[chat]
}

// WaitFor waits until the accepted messages satisfy ok, or ctx ends.
func (s *Server) WaitFor(ctx context.Context, ok func([]Message) bool) ([]Message, error) {
	return s.wait(ctx, func() bool { return ok(s.messages) })
}

// WaitForCalls waits until sendMessage was called n times for a chat, accepted or not, or ctx ends.
func (s *Server) WaitForCalls(ctx context.Context, chat string, n int) error {
	_, err := s.wait(ctx, func() bool { return s.calls[chat] >= n })
	return err
}

// AtLeast is satisfied by n messages.
func AtLeast(n int) func([]Message) bool {
	return func(m []Message) bool { return len(m) >= n }
}

// Containing is satisfied by a message with each of these texts in what people read, in any order.
func Containing(texts ...string) func([]Message) bool {
	return func(all []Message) bool {
		for _, t := range texts {
			if !slices.ContainsFunc(all, func(m Message) bool { return strings.Contains(m.Plain, t) }) {
				return false
			}
		}
		return true
	}
}

func (s *Server) wait(ctx context.Context, ok func() bool) ([]Message, error) {
	for {
		s.mu.Lock()
		all, changed, satisfied := slices.Clone(s.messages), s.changed, ok()
		s.mu.Unlock()
		if satisfied {
			return all, nil
		}
		select {
		case <-changed:
		case <-s.closed:
			return all, errors.New("fake Telegram was closed")
		case <-ctx.Done():
			return all, fmt.Errorf("fake Telegram has %d messages, not those waited for: %w", len(all), ctx.Err())
		}
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	token, found := strings.CutPrefix(r.PathValue("bot"), "bot")
	if !found || !strings.Contains(token, ":") {
		write(w, NotFound())
		return
	}
	if only := s.only(); only != "" && token != only {
		write(w, Unauthorized())
		return
	}
	method := strings.ToLower(r.PathValue("method"))
	if a := s.methodAnswer(method); a != OK() {
		s.fail(w, r, a)
		return
	}
	handle, ok := map[string]http.HandlerFunc{
		"getme": s.getMe, "getchat": s.getChat, "sendmessage": s.sendMessage, "getupdates": s.getUpdates,
		"answercallbackquery": s.answerPressed, "editmessagereplymarkup": s.editButtons,
	}[method]
	if !ok {
		write(w, NotFound())
		return
	}
	handle(w, r)
}

// methodAnswer is the next answer that was asked for of a method; OK for none.
func (s *Server) methodAnswer(method string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.methods[method]
	if len(q) == 0 {
		return OK()
	}
	s.methods[method] = q[1:]
	return q[0]
}

func (s *Server) only() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request) {
	m, err := readMessage(r)
	if err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	a := s.choose(m.Chat)
	if !a.accepts() {
		s.fail(w, r, a)
		return
	}
	if err := s.possible(m); err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	if err := m.check(); err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	m = s.accept(m)
	if a.drop {
		drop(w)
		return
	}
	writeResult(w, map[string]any{
		"message_id": m.ID, "date": m.At.Unix(), "text": m.Plain, "chat": chatInfo(m.Chat),
	})
}

// possible says whether the chat and the message to answer are there.
func (s *Server) possible(m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.known != nil && !s.known[m.Chat]:
		return errors.New(ChatNotFound)
	case m.ReplyTo == 0 || !m.strictReply:
		return nil
	case m.ReplyTo > int64(len(s.messages)), s.messages[m.ReplyTo-1].Chat != m.Chat:
		return errors.New(NoSuchReply)
	}
	return nil
}

// choose takes the answer for a call and counts the call.
func (s *Server) choose(chat string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[chat]++
	s.signal()
	for _, key := range []string{chat, ""} {
		if q := s.next[key]; len(q) > 0 {
			s.next[key] = q[1:]
			return q[0]
		}
	}
	if a, ok := s.always[chat]; ok {
		return a
	}
	return s.always[""]
}

func (s *Server) accept(m Message) Message {
	s.mu.Lock()
	m.ID, m.At = int64(len(s.messages)+1), time.Now()
	s.messages = append(s.messages, m)
	s.signal()
	watch := s.watch
	s.mu.Unlock()
	if watch != nil {
		watch(m)
	}
	return m
}

func (s *Server) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, a Answer) {
	switch {
	case a.hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		drop(w)
	case a.drop:
		drop(w)
	default:
		write(w, a)
	}
}

// drop closes the connection without an answer.
func drop(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func writeResult(w http.ResponseWriter, result any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "result": result})
}
