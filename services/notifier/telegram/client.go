// Package telegram sends messages through Telegram's Bot API (https://core.telegram.org/bots/api#sendmessage).
//
// It knows one method. What matters here is what a failed call means: whether the message may have been accepted,
// whether waiting can help, and what a person can do about it; all of that is in Error.
package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// DefaultURL is the server that Telegram itself runs.
const DefaultURL = "https://api.telegram.org"

// DefaultTimeout bounds one call. Telegram answers within a second when it is well.
const DefaultTimeout = 30 * time.Second

const maxAnswerBytes = 1 << 20

// Options are the settings of a client.
type Options struct {
	URL     string          // "" for DefaultURL
	Token   settings.Secret // of the bot; it stands in every request's path, and nowhere else
	Timeout time.Duration   // of one call; 0 for DefaultTimeout
	HTTP    *http.Client    // nil for one of its own
	Log     zerolog.Logger
}

// Client sends messages as one bot. It is safe for concurrent use.
type Client struct {
	url     string
	token   settings.Secret
	timeout time.Duration
	http    *http.Client
	log     zerolog.Logger

	mu    sync.Mutex
	moved map[string]int64 // groups that became supergroups: the old id to the new one
}

// New makes a client. It asks nothing of Telegram yet, so it works while Telegram is away.
func New(o Options) *Client {
	c := &Client{
		url: strings.TrimRight(o.URL, "/"), token: o.Token, timeout: o.Timeout, http: o.HTTP, log: o.Log,
		moved: make(map[string]int64),
	}
	if c.url == "" {
		c.url = DefaultURL
	}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.http == nil {
		c.http = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	}
	// A redirect would carry the token elsewhere, and turn the POST into a GET.
	h := *c.http
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &h
	return c
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type outgoing struct {
	ChatID      any          `json:"chat_id"` // a number, or "@name"
	ThreadID    int64        `json:"message_thread_id,omitempty"`
	Text        string       `json:"text"`
	ParseMode   string       `json:"parse_mode,omitempty"`
	LinkPreview linkPreview  `json:"link_preview_options"`
	Reply       *replyParams `json:"reply_parameters,omitempty"`
}

type linkPreview struct {
	IsDisabled bool `json:"is_disabled"`
}

type replyParams struct {
	MessageID  int64 `json:"message_id"`
	AllowAlone bool  `json:"allow_sending_without_reply"`
}

// Send sends one message to "chat" or "chat:topic", as an answer to replyTo unless that is 0, and returns the id
// that Telegram gave it. html is in Telegram's HTML parse mode. A group that became a supergroup is followed. A
// message that Telegram cannot read is sent as plain text, so that it cannot hold up those behind it. No message
// leaves after ctx is over.
// Every error is an *Error.
func (c *Client) Send(ctx context.Context, chat, html string, replyTo int64) (int64, error) {
	to, err := ParseChat(chat)
	if err != nil {
		return 0, &Error{Words: err.Error(), Permanent: true}
	}
	m := outgoing{
		ChatID: c.current(to.ID), ThreadID: to.Topic, Text: html, ParseMode: "HTML",
		LinkPreview: linkPreview{IsDisabled: true},
	}
	if replyTo != 0 {
		m.Reply = &replyParams{MessageID: replyTo, AllowAlone: true}
	}
	for {
		id, err := c.call(ctx, m)
		if err == nil {
			return id, nil
		}
		if !c.amend(&m, to, err) {
			return 0, err
		}
	}
}

// amend changes a message that was refused for a reason which can be mended at once. Each change is made only once.
func (c *Client) amend(m *outgoing, to Chat, err *Error) bool {
	switch {
	case err.movedTo != 0 && m.ChatID != err.movedTo:
		c.log.Warn().Str("chat", to.ID).Int64("new_chat", err.movedTo).
			Msg("the group became a supergroup: put its new id into TELEGRAM_CHAT_ID")
		c.mu.Lock()
		c.moved[to.ID] = err.movedTo
		c.mu.Unlock()
		m.ChatID = err.movedTo
	case err.aboutReply && m.Reply != nil:
		m.Reply = nil
	case err.aboutMessage && m.ParseMode != "":
		c.log.Warn().Str("chat", to.ID).Str("error", err.Words).Msg("Telegram cannot read the message: sent as plain text")
		m.Text, m.ParseMode = clip(PlainText(m.Text), MaxUnits), ""
	default:
		return false
	}
	return true
}

// current is the chat's id as Telegram knows it now.
func (c *Client) current(id string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if moved, ok := c.moved[id]; ok {
		return moved
	}
	if strings.HasPrefix(id, "@") {
		return id
	}
	return json.Number(id)
}

type answer struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int   `json:"retry_after"` // seconds
		MovedTo    int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

func (c *Client) call(ctx context.Context, m outgoing) (int64, *Error) {
	body, err := json.Marshal(m)
	if err != nil {
		return 0, &Error{Words: "encode the message: " + err.Error(), Permanent: true}
	}
	cctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(cctx, http.MethodPost,
		c.url+"/bot"+c.token.Reveal()+"/sendMessage", &guarded{ctx: ctx, left: bytes.NewReader(body)})
	if err != nil {
		return 0, &Error{Words: "TELEGRAM_API_URL and TELEGRAM_BOT_TOKEN make no valid address", Permanent: true}
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return &guarded{ctx: ctx, left: bytes.NewReader(body)}, nil }
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, c.unreachable(cctx, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return 0, c.unreachable(cctx, err)
	}
	return read(resp, data, m)
}

// guarded is a message that does not leave once the caller's context is over. It asks the context itself, since the
// end of one may be known before any timer tells of it: resolving, connecting and greeting can take long, and the
// process may have been frozen meanwhile.
type guarded struct {
	ctx  context.Context // it is asked, not waited for
	left *bytes.Reader
}

// Read implements io.Reader.
func (g *guarded) Read(p []byte) (int, error) {
	if g.left.Len() > 0 {
		if err := g.ctx.Err(); err != nil {
			return 0, err
		}
	}
	return g.left.Read(p)
}

// Close implements io.Closer.
func (g *guarded) Close() error { return nil }

// read understands an answer. Only the status and "ok" decide whether the message was accepted: a result that
// cannot be read must not make it be sent again.
func read(resp *http.Response, data []byte, m outgoing) (int64, *Error) {
	var a answer
	err := json.Unmarshal(data, &a)
	if err == nil && a.OK && resp.StatusCode == http.StatusOK {
		var sent struct {
			MessageID int64 `json:"message_id"`
		}
		_ = json.Unmarshal(a.Result, &sent)
		return sent.MessageID, nil
	}
	if err != nil || a.Code == 0 {
		return 0, foreign(resp)
	}
	return 0, refused(a, fmt.Sprint(m.ChatID))
}

// unreachable words an error of the transport. Its text may hold the request's address, and so the token.
func (c *Client) unreachable(ctx context.Context, err error) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Words: "Telegram did not answer in time"}
	}
	for u := (*url.Error)(nil); errors.As(err, &u); {
		err = u.Err
	}
	words := "the connection to Telegram broke: "
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op != "dial" {
		err = op.Err // without the port, which differs each time
	} else if ok {
		words = "no way to Telegram: "
	}
	words += err.Error()
	if t := c.token.Reveal(); t != "" {
		words = strings.ReplaceAll(words, t, c.token.String())
	}
	return &Error{Words: words}
}
