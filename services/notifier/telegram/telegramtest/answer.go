package telegramtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// Answer is what the server does with a call. The zero value accepts the message.
type Answer struct {
	code        int
	description string
	retryAfter  int
	movedTo     int64
	page        string // an answer that is not the Bot API's
	huge        int    // bytes of an answer that does not end soon
	hang, drop  bool
	accepted    bool // though no answer arrives
}

// Descriptions as Telegram words them.
const (
	ChatNotFound   = "Bad Request: chat not found"
	ThreadNotFound = "Bad Request: message thread not found"
	BotBlocked     = "Forbidden: bot was blocked by the user"
	NotMember      = "Forbidden: bot is not a member of the supergroup chat"
	TopicClosed    = "Bad Request: TOPIC_CLOSED"
	TwoPollers     = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
	NotModified    = "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"
	NoSuchReply    = "Bad Request: message to be replied not found"
	BotKicked      = "Forbidden: bot was kicked from the supergroup chat"
	NoRights       = "Bad Request: not enough rights to send text messages to the chat"
	CannotParse    = "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0"
	MessageTooLong = "Bad Request: message is too long"
)

// OK accepts the message.
func OK() Answer { return Answer{} }

// TooMany is 429 with retry_after, whole seconds.
func TooMany(wait time.Duration) Answer {
	s := int(wait / time.Second)
	return Answer{code: http.StatusTooManyRequests, retryAfter: s,
		description: "Too Many Requests: retry after " + (time.Duration(s) * time.Second).String()}
}

// BadRequest is 400.
func BadRequest(description string) Answer {
	return Answer{code: http.StatusBadRequest, description: description}
}

// Forbidden is 403.
func Forbidden(description string) Answer {
	return Answer{code: http.StatusForbidden, description: description}
}

// Unauthorized is 401: the token is not a bot's.
func Unauthorized() Answer { return Answer{code: http.StatusUnauthorized, description: "Unauthorized"} }

// NotFound is 404: the token, or the method, is malformed.
func NotFound() Answer { return Answer{code: http.StatusNotFound, description: "Not Found"} }

// Moved is the 400 of a group that became a supergroup.
func Moved(to int64) Answer {
	return Answer{code: http.StatusBadRequest, movedTo: to,
		description: "Bad Request: group chat was upgraded to a supergroup chat"}
}

// Broken is a fault of Telegram, as the Bot API reports it: 500, 502 and so on.
func Broken(code int) Answer { return Answer{code: code, description: http.StatusText(code)} }

// Page is an answer of something in between, which is not JSON.
func Page(code int, html string) Answer { return Answer{code: code, page: html} }

// Huge is an answer of so many bytes, which is no JSON before its end.
func Huge(bytes int) Answer { return Answer{code: http.StatusOK, huge: bytes} }

// Conflict is the 409 of a bot whose updates another program asks for.
func Conflict() Answer { return Answer{code: http.StatusConflict, description: TwoPollers} }

// Hang never answers.
func Hang() Answer { return Answer{hang: true} }

// Drop closes the connection without accepting the message.
func Drop() Answer { return Answer{drop: true} }

// AcceptAndDrop accepts the message and closes the connection without an answer.
func AcceptAndDrop() Answer { return Answer{drop: true, accepted: true} }

func (a Answer) accepts() bool { return a == Answer{} || a.accepted }

func write(w http.ResponseWriter, a Answer) {
	if a.page != "" {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(a.code)
		_, _ = w.Write([]byte(a.page))
		return
	}
	if a.huge > 0 {
		_, _ = w.Write(append([]byte(`{"ok":false,"description":"`), bytes.Repeat([]byte("x"), a.huge)...))
		return
	}
	body := map[string]any{"ok": false, "error_code": a.code, "description": a.description}
	if a.retryAfter != 0 {
		body["parameters"] = map[string]any{"retry_after": a.retryAfter}
	}
	if a.movedTo != 0 {
		body["parameters"] = map[string]any{"migrate_to_chat_id": a.movedTo}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.code)
	_ = json.NewEncoder(w).Encode(body)
}
