package telegram

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
)

// Error says why a call failed, in words that a person can act on. It never holds the token.
//
// Unless it is Permanent, the same call may succeed later; whether Telegram accepted the message in spite of the
// error is open when the answer was lost on its way.
type Error struct {
	Words string // in English; In has other languages
	Fault Fault
	// Permanent means that waiting alone does not help: somebody has to change something outside.
	Permanent bool
	// RetryAfter is how long Telegram asks to wait; 0 when it does not say.
	RetryAfter time.Duration
	// MigrateTo is the id of the supergroup that the group has become; 0 for none.
	MigrateTo int64

	args         []any // of the words
	notSent      bool
	open         bool // an answer came from which it cannot be told whether the call was accepted
	aboutReply   bool
	aboutMessage bool
	unchanged    bool // the message is as it was asked to become
}

func (e *Error) Error() string { return e.Words }

// Retry says when the call may be made again: after a time that was asked for, if any; and whether only a change
// outside helps.
func (e *Error) Retry() (after time.Duration, permanent bool) { return e.RetryAfter, e.Permanent }

// NotAccepted reports whether Telegram has certainly not accepted the message: it did not leave, or it was refused.
func (e *Error) NotAccepted() bool {
	refused := e.Permanent || e.RetryAfter > 0 || e.Fault == TooMany || e.Fault == TooManyBefore
	return e.notSent || refused && !e.open
}

// In is what happened in a language, "en" or "ru".
func (e *Error) In(language string) string {
	if format, ok := russian[e.Fault]; ok && language == "ru" {
		return fmt.Sprintf(format, e.args...)
	}
	return e.Words
}

// fault makes an error that waiting may mend; refusal, one that it does not.
func fault(f Fault, args ...any) *Error {
	return &Error{Fault: f, args: args, Words: fmt.Sprintf(english[f], args...)}
}

func refusal(f Fault, args ...any) *Error {
	e := fault(f, args...)
	e.Permanent = true
	return e
}

// descriptions are what is wrong, by a part of Telegram's description in lower case. All of them are about the bot
// and the chat; any other 400 is about the message.
var descriptions = []struct {
	part  string
	fault Fault
}{
	{"chat not found", ChatNotFound},
	{"peer_id_invalid", ChatWrong},
	{"bot was blocked", Blocked},
	{"bot was kicked", Kicked},
	{"not a member", NotMember},
	{"initiate conversation", NotStarted},
	{"deactivated", Deactivated},
	{"chat was deleted", Deactivated},
	{"send messages to bots", ChatIsBot},
	{"send messages to the bot", ChatIsBot},
	{"thread not found", NoTopic},
	{"topic_closed", TopicClosed},
	{"topic_deleted", NoTopic},
	{"upgraded to a supergroup", Migrated},
	{"rights", NoRights},
	{"forbidden", NoRights},
	{"restricted", NoRights},
	{"chat_id", ChatWrong},
}

// refused words an answer of the Bot API that is not ok. chat is "" for a call that is about none.
func refused(a answer, chat string) *Error {
	text := short(a.Description)
	switch {
	case a.Code == http.StatusTooManyRequests:
		wait := time.Duration(max(a.Parameters.RetryAfter, 0)) * time.Second
		e := fault(TooMany, wait)
		e.RetryAfter = wait
		return e
	case a.Code >= http.StatusInternalServerError:
		return fault(TelegramFault, a.Code, text)
	case a.Code == http.StatusUnauthorized, a.Code == http.StatusNotFound:
		return refusal(TokenWrong, a.Code, text)
	case a.Code == http.StatusConflict:
		return fault(Conflict, text)
	case chat == "":
		return refusal(RequestRefused, text)
	}
	lower := strings.ToLower(a.Description)
	for _, d := range descriptions {
		if strings.Contains(lower, d.part) {
			e := refusal(d.fault, chat, text)
			e.MigrateTo = a.Parameters.MigrateTo
			return e
		}
	}
	e := refusal(MessageRefused, chat, text)
	e.MigrateTo = a.Parameters.MigrateTo
	if a.Code == http.StatusBadRequest && e.MigrateTo == 0 {
		e.aboutReply = strings.Contains(lower, "repl")
		e.aboutMessage = true
		e.unchanged = strings.Contains(lower, "not modified")
	}
	return e
}

// foreign words an answer that does not come from the Bot API: a proxy's page, a captive portal, a wrong address. One that
// says all is well may be Telegram's, spoilt on its way.
func foreign(resp *http.Response, now time.Time) *Error {
	code := resp.StatusCode
	text := http.StatusText(code)
	switch {
	case code == http.StatusTooManyRequests:
		e := fault(TooManyBefore)
		e.RetryAfter = outbound.RetryAfter(resp.Header, now)
		return e
	case code == http.StatusProxyAuthRequired:
		return refusal(ProxyRefuses, fmt.Sprintf("%d %s", code, text))
	case code >= http.StatusInternalServerError:
		return fault(Unreachable, code, text)
	}
	e := refusal(NotTelegram, code, text)
	e.open = code < http.StatusMultipleChoices
	return e
}

// transport words an error of the transport. The error's own text may hold the request's address, and so the token.
func transport(err error) *Error {
	why := outbound.Why(err)
	f, known := causes[why.Cause]
	if !known {
		return fault(Broken, cmp.Or(why.Detail, "no answer came"))
	}
	e := fault(f, why.Detail)
	e.Permanent = why.Cause == outbound.ProxyRefuses
	e.notSent = why.Cause.NotSent()
	return e
}

var causes = map[outbound.Cause]Fault{
	outbound.ProxyAway:    ProxyAway,
	outbound.ProxyRefuses: ProxyRefuses,
	outbound.NoName:       NoName,
	outbound.Refused:      ConnectionRefused,
	outbound.NoConnection: NoConnection,
	outbound.NoRoute:      NoRoute,
	outbound.Certificate:  Certificate,
	outbound.NoAnswer:     NoAnswer,
}

// IsFault reports whether an error is this fault.
func IsFault(err error, f Fault) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Fault == f
}

func short(description string) string {
	const most = 200
	description = cmp.Or(description, "no description")
	if r := []rune(description); len(r) > most {
		return string(r[:most]) + "…"
	}
	return description
}
