// Package outbound calls addresses outside of the monitor: Telegram, webhooks, a watchdog.
//
// Its clients go through HTTPS_PROXY and HTTP_PROXY, and follow no redirects: addresses and headers hold secrets, and
// would be carried elsewhere. Why says what is wrong with the way there in terms that hold no secret.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// connectLimit bounds making a connection: shorter than any call, so that "no connection" and "no answer" can be told
// apart.
const connectLimit = 10 * time.Second

// NewClient makes a client with connections of its own.
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connectLimit, KeepAlive: 30 * time.Second}).DialContext
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyRefusal{status: answer.StatusCode}
	}
	return WithoutRedirects(&http.Client{Transport: t})
}

// WithoutRedirects is the client, but a redirect is an answer like any other.
func WithoutRedirects(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

type proxyRefusal struct{ status int }

func (e *proxyRefusal) Error() string { return fmt.Sprintf("the proxy answers %d", e.status) }

// Cause is what is wrong with the way to an address.
type Cause string

// The causes. Until NoAnswer nothing was sent; after NoAnswer and Broken the request may have been taken.
const (
	ProxyAway    Cause = "proxy_away"    // no connection to the proxy
	ProxyRefuses Cause = "proxy_refuses" // Detail: its status
	NoName       Cause = "no_name"       // Detail: the name
	Refused      Cause = "refused"       // Detail: the address
	NoConnection Cause = "no_connection" // none was made in time; Detail: the address
	NoRoute      Cause = "no_route"      // Detail: what the system says
	Certificate  Cause = "certificate"   // Detail: what is wrong with it
	NoAnswer     Cause = "no_answer"     // in time
	Broken       Cause = "broken"        // Detail: what the system says, "" when it is not certain to hold no secret
)

// NotSent reports whether the request certainly did not leave: there was no connection for it.
func (c Cause) NotSent() bool { return c != NoAnswer && c != Broken }

// Trouble is a cause with what there is to know about it. It holds no secret.
type Trouble struct {
	Cause  Cause
	Detail string
}

// Why finds out what an error of a client's Do, or of reading the answer's body, means.
func Why(err error) Trouble {
	var refusal *proxyRefusal
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	var timeout net.Error
	isOp := errors.As(err, &op)
	late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
	switch {
	case errors.As(err, &refusal):
		return Trouble{ProxyRefuses, fmt.Sprintf("%d %s", refusal.status, http.StatusText(refusal.status))}
	case isOp && op.Op == "proxyconnect":
		return Trouble{Cause: ProxyAway}
	case errors.As(err, &name):
		return Trouble{NoName, name.Name}
	case errors.As(err, &certificate):
		return Trouble{Certificate, certificate.Err.Error()}
	case isOp && op.Op == "dial" && late:
		return Trouble{NoConnection, address(op)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Trouble{Refused, address(op)}
	case isOp && op.Op == "dial":
		return Trouble{NoRoute, op.Err.Error()}
	case late:
		return Trouble{Cause: NoAnswer}
	case isOp:
		return Trouble{Broken, op.Err.Error()} // without the ports, which differ each time
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)):
		return Trouble{Broken, "no TLS is spoken there"}
	}
	return Trouble{Cause: Broken}
}

func address(op *net.OpError) string {
	if op == nil || op.Addr == nil {
		return ""
	}
	return op.Addr.String()
}

// RetryAfter reads the header of that name: whole seconds, or a date. 0 when there is none, or it is over.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if n, err := strconv.Atoi(value); err == nil {
		const most = 1 << 31 // decades; more would overflow
		return time.Duration(min(max(n, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
