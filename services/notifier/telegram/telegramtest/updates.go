package telegramtest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// updates are what waits for getUpdates, and what came of it.
type updates struct {
	last    int64 // id of the last one
	waiting []map[string]any
	poller  chan struct{} // closed to end the getUpdates that waits; nil for none
	polls   int
	answers map[string]string // to buttons that were pressed, by their id
}

// Say lets a person write in a chat, "chat" or with a topic; it returns the update's id.
func (s *Server) Say(chat string, topic int64, from string, text string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update("message", map[string]any{
		"message_id": 1_000_000 + s.updates.last, "message_thread_id": topic, "is_topic_message": topic != 0, "date": time.Now().Unix(),
		"chat": chatInfo(chat), "from": person(from), "text": text,
	})
}

// Press lets a person press the button with these data under a message that the bot sent; it returns the id that the
// answer will have.
func (s *Server) Press(message int64, from, data string) (pressed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[message-1]
	pressed = "pressed-" + strconv.FormatInt(s.updates.last+1, 10)
	s.update("callback_query", map[string]any{
		"id": pressed, "from": person(from), "data": data,
		"message": map[string]any{
			"message_id": m.ID, "message_thread_id": m.Thread, "is_topic_message": m.Thread != 0, "date": m.At.Unix(), "chat": chatInfo(m.Chat), "text": m.Plain,
		},
	})
	return pressed
}

// Answered is what the person was shown who pressed a button, and whether there was an answer yet.
func (s *Server) Answered(pressed string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.updates.answers[pressed]
	return text, ok
}

// Polls is how many times getUpdates was called.
func (s *Server) Polls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updates.polls
}

// Unconfirmed is how many updates no later offset has confirmed.
func (s *Server) Unconfirmed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.updates.waiting)
}

func person(name string) map[string]any {
	return map[string]any{"id": 7, "is_bot": false, "first_name": name, "username": name}
}

// update is called with the lock held.
func (s *Server) update(kind string, what map[string]any) int64 {
	s.updates.last++
	s.updates.waiting = append(s.updates.waiting, map[string]any{"update_id": s.updates.last, kind: what})
	s.signal()
	return s.updates.last
}

// getUpdates gives what waits from the offset on, and forgets what is before it; a negative offset counts from the
// end. It waits for the first when asked to. A second call ends the first one with 409, as Telegram does.
func (s *Server) getUpdates(w http.ResponseWriter, r *http.Request) {
	params, err := readParams(r)
	if err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	number := func(name string, otherwise int64) int64 {
		n, err := strconv.ParseInt(params[name], 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	mine := make(chan struct{})
	s.mu.Lock()
	s.updates.polls++
	if s.updates.poller != nil {
		close(s.updates.poller)
	}
	s.updates.poller = mine
	s.confirm(number("offset", 0))
	s.signal()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.updates.poller == mine {
			s.updates.poller = nil
		}
	}()
	timeout := time.NewTimer(time.Duration(number("timeout", 0)) * time.Second)
	defer timeout.Stop()
	for late := false; ; {
		s.mu.Lock()
		found, changed := slices.Clone(s.updates.waiting), s.changed
		s.mu.Unlock()
		if len(found) > 0 || late {
			writeResult(w, found[:min(len(found), int(number("limit", 100)))])
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			late = true
		case <-mine:
			write(w, Conflict())
			return
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
}

func (s *Server) confirm(offset int64) {
	u := &s.updates
	if n := int64(len(u.waiting)); offset < 0 {
		u.waiting = u.waiting[max(n+offset, 0):]
		return
	}
	u.waiting = slices.DeleteFunc(u.waiting, func(m map[string]any) bool { return m["update_id"].(int64) < offset })
}

func (s *Server) answerPressed(w http.ResponseWriter, r *http.Request) {
	params, err := readParams(r)
	if err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.updates.answers == nil {
		s.updates.answers = make(map[string]string)
	}
	s.updates.answers[params["callback_query_id"]] = params["text"]
	s.signal()
	writeResult(w, true)
}

func (s *Server) editButtons(w http.ResponseWriter, r *http.Request) {
	params, err := readParams(r)
	if err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	buttons, err := readButtons(params["reply_markup"])
	if err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	id, _ := strconv.ParseInt(params["message_id"], 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || id > int64(len(s.messages)) || s.messages[id-1].Chat != params["chat_id"] {
		write(w, BadRequest("Bad Request: message to edit not found"))
		return
	}
	m := &s.messages[id-1]
	if len(m.Buttons) == len(buttons) && (len(buttons) == 0 || reflect.DeepEqual(m.Buttons, buttons)) {
		write(w, BadRequest(NotModified))
		return
	}
	m.Buttons = buttons
	s.signal()
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "result": map[string]any{"message_id": id}})
}
