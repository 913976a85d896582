package telegram

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error says why a message was not accepted, in words that a person can act on. It never holds the token.
//
// Unless it is Permanent, the same call may succeed later; whether Telegram accepted the message in spite of the
// error is open when the answer was lost on its way.
type Error struct {
	Words string
	// Permanent means that waiting alone does not help: somebody has to change something outside.
	Permanent bool
	// RetryAfter is how long Telegram asks to wait; 0 when it does not say.
	RetryAfter time.Duration

	movedTo      int64
	aboutReply   bool
	aboutMessage bool
}

func (e *Error) Error() string { return e.Words }

// hints are what a person can do about a refusal, by a part of Telegram's description, in lower case. All of them
// are about the bot and the chat; any other 400 is about the message.
var hints = []struct{ part, hint string }{
	{"chat not found", "is the bot in the chat, and is TELEGRAM_CHAT_ID right?"},
	{"peer_id_invalid", "is TELEGRAM_CHAT_ID right?"},
	{"bot was blocked", "unblock the bot in Telegram"},
	{"bot was kicked", "add the bot to the chat again"},
	{"not a member", "add the bot to the chat"},
	{"initiate conversation", "open the bot in Telegram and press Start"},
	{"deactivated", "this account does not exist any more: change TELEGRAM_CHAT_ID"},
	{"send messages to bots", "TELEGRAM_CHAT_ID is a bot: it must be a person, a group or a channel"},
	{"send messages to the bot", "TELEGRAM_CHAT_ID is a bot: it must be a person, a group or a channel"},
	{"thread not found", "the topic in TELEGRAM_CHAT_ID does not exist"},
	{"topic_closed", "open the topic again"},
	{"topic_deleted", "the topic in TELEGRAM_CHAT_ID does not exist"},
	{"upgraded to a supergroup", "put the group's new id into TELEGRAM_CHAT_ID"},
	{"rights", "allow the bot to write in the chat"},
	{"forbidden", "allow the bot to write in the chat"},
	{"restricted", "allow the bot to write in the chat"},
	{"chat_id", "is TELEGRAM_CHAT_ID right?"},
}

// refused words an answer of the Bot API that is not ok.
func refused(a answer, chat string) *Error {
	text := short(a.Description)
	switch {
	case a.Code == http.StatusTooManyRequests:
		wait := time.Duration(max(a.Parameters.RetryAfter, 0)) * time.Second
		return &Error{Words: fmt.Sprintf("Telegram asks to wait %v: too many messages", wait), RetryAfter: wait}
	case a.Code >= http.StatusInternalServerError:
		return &Error{Words: fmt.Sprintf("Telegram has a fault of its own (%d %s)", a.Code, text)}
	case a.Code == http.StatusUnauthorized, a.Code == http.StatusNotFound:
		return &Error{Permanent: true,
			Words: fmt.Sprintf("Telegram does not know the bot (%d %s): is TELEGRAM_BOT_TOKEN right?", a.Code, text)}
	}
	e := &Error{Permanent: true, movedTo: a.Parameters.MovedTo, Words: fmt.Sprintf("chat %s: Telegram says %q", chat, text)}
	lower := strings.ToLower(a.Description)
	for _, h := range hints {
		if strings.Contains(lower, h.part) {
			e.Words += ": " + h.hint
			return e
		}
	}
	if a.Code == http.StatusBadRequest && e.movedTo == 0 {
		e.aboutReply = strings.Contains(lower, "repl")
		e.aboutMessage = true
	}
	return e
}

// foreign words an answer that does not come from the Bot API: a proxy's page, a captive portal, a wrong address.
func foreign(resp *http.Response) *Error {
	code := resp.StatusCode
	switch {
	case code == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &Error{Words: "something before Telegram says: too many requests",
			RetryAfter: time.Duration(max(seconds, 0)) * time.Second}
	case code >= http.StatusInternalServerError:
		return &Error{Words: fmt.Sprintf("Telegram cannot be reached (%d %s)", code, http.StatusText(code))}
	}
	return &Error{Permanent: true, Words: fmt.Sprintf(
		"what answers is not Telegram's Bot API (%d %s): is TELEGRAM_API_URL right?", code, http.StatusText(code))}
}

func short(description string) string {
	const most = 200
	description = cmp.Or(description, "no description")
	if r := []rune(description); len(r) > most {
		return string(r[:most]) + "…"
	}
	return description
}
