package webhook

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
)

// Error says why a post was not accepted, in words that a person can act on. It holds neither the address nor the
// secret.
type Error struct {
	Words     string // in English; In has other languages
	Permanent bool   // waiting alone does not help: somebody has to change something outside
	After     time.Duration

	notSent bool
	refused bool // the receiver itself said no
	trouble trouble
	args    []any
}

func (e *Error) Error() string { return e.Words }

// Retry says when to post again: after a time that was asked for, if any; and whether only a change outside helps.
func (e *Error) Retry() (after time.Duration, permanent bool) { return e.After, e.Permanent }

// NotAccepted reports whether the post was certainly not accepted: it did not leave, or it was refused.
func (e *Error) NotAccepted() bool { return e.notSent || e.refused }

// In is what happened in a language, "en" or "ru".
func (e *Error) In(language string) string {
	if language == "ru" {
		return fmt.Sprintf(russian[e.trouble], e.args...)
	}
	return e.Words
}

type trouble string

const (
	malformed    trouble = "malformed"
	redirects    trouble = "redirects"
	gone         trouble = "gone"
	unauthorized trouble = "unauthorized"
	refuses      trouble = "refuses"
	busy         trouble = "busy"
	broken       trouble = "broken"
)

var english = map[trouble]string{
	malformed:    "WEBHOOK_URL is no valid address",
	redirects:    "the webhook redirects (%d): set WEBHOOK_URL to where it leads",
	gone:         "the webhook answers %d Gone: its receiver wants no more; change WEBHOOK_URL, or take it away",
	unauthorized: "the webhook answers %d %s: are WEBHOOK_URL and WEBHOOK_SECRET right?",
	refuses:      "the webhook answers %d %s: is WEBHOOK_URL right?",
	busy:         "the webhook answers %d %s",

	broken:                         "the connection to the webhook broke",
	trouble(outbound.ProxyAway):    "no way to the webhook: the proxy of HTTPS_PROXY or HTTP_PROXY cannot be reached",
	trouble(outbound.ProxyRefuses): "no way to the webhook: the proxy of HTTPS_PROXY or HTTP_PROXY refuses",
	trouble(outbound.NoName):       "no way to the webhook: the name in WEBHOOK_URL cannot be resolved",
	trouble(outbound.Refused):      "no way to the webhook: it refuses connections",
	trouble(outbound.NoConnection): "no way to the webhook: no connection in time. If this machine needs a proxy, set HTTPS_PROXY",
	trouble(outbound.NoRoute):      "no way to the webhook: this machine has no route there. If it needs a proxy, set HTTPS_PROXY",
	trouble(outbound.Certificate):  "the certificate of the webhook is not trusted",
	trouble(outbound.NoAnswer):     "the webhook does not answer within %v",
}

var russian = map[trouble]string{
	malformed:    "в WEBHOOK_URL неверный адрес",
	redirects:    "вебхук перенаправляет (%d): укажите в WEBHOOK_URL, куда он ведёт",
	gone:         "вебхук отвечает %d Gone: получатель больше ничего не хочет; смените WEBHOOK_URL или уберите его",
	unauthorized: "вебхук отвечает %d %s: верны ли WEBHOOK_URL и WEBHOOK_SECRET?",
	refuses:      "вебхук отвечает %d %s: верен ли WEBHOOK_URL?",
	busy:         "вебхук отвечает %d %s",

	broken:                         "соединение с вебхуком оборвалось",
	trouble(outbound.ProxyAway):    "нет пути до вебхука: прокси из HTTPS_PROXY или HTTP_PROXY недоступен",
	trouble(outbound.ProxyRefuses): "нет пути до вебхука: прокси из HTTPS_PROXY или HTTP_PROXY отказывает",
	trouble(outbound.NoName):       "нет пути до вебхука: имя из WEBHOOK_URL не находится",
	trouble(outbound.Refused):      "нет пути до вебхука: он не принимает соединения",
	trouble(outbound.NoConnection): "нет пути до вебхука: не удалось вовремя соединиться. Если этой машине нужен прокси, задайте HTTPS_PROXY",
	trouble(outbound.NoRoute):      "нет пути до вебхука: с этой машины туда нет маршрута. Если ей нужен прокси, задайте HTTPS_PROXY",
	trouble(outbound.Certificate):  "нет доверия к сертификату вебхука",
	trouble(outbound.NoAnswer):     "вебхук не отвечает за %v",
}

func fault(t trouble, args ...any) *Error {
	return &Error{trouble: t, args: args, Words: fmt.Sprintf(english[t], args...)}
}

func refusal(t trouble, args ...any) *Error {
	e := fault(t, args...)
	e.Permanent = true
	return e
}

// answered words an answer that accepts nothing. What a gateway says when it waited in vain leaves open whether the
// receiver has the post.
func answered(resp *http.Response, now time.Time) *Error {
	e := worded(resp, now)
	e.refused = resp.StatusCode < http.StatusInternalServerError && resp.StatusCode != http.StatusRequestTimeout
	return e
}

func worded(resp *http.Response, now time.Time) *Error {
	code := resp.StatusCode
	text := http.StatusText(code)
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		e := fault(busy, code, text)
		e.After = min(outbound.RetryAfter(resp.Header, now), mostPatience)
		return e
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return fault(busy, code, text)
	case code >= 300 && code < 400:
		return refusal(redirects, code)
	case code == http.StatusGone:
		return refusal(gone, code)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return refusal(unauthorized, code, text)
	case code == http.StatusProxyAuthRequired:
		return refusal(trouble(outbound.ProxyRefuses))
	}
	return refusal(refuses, code, text)
}

// unreached words an error of the transport. Nothing of its text is kept: it may hold the address, which is a secret.
func unreached(err error, limit time.Duration) *Error {
	why := outbound.Why(err).Cause
	e := fault(trouble(why))
	if why == outbound.NoAnswer {
		e = fault(trouble(why), limit)
	}
	e.Permanent, e.notSent = why == outbound.ProxyRefuses, why.NotSent()
	return e
}
