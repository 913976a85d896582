// Package bus is JetStream as this system uses it: connect, make the streams, publish, consume.
package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrUnavailable means that NATS or its JetStream cannot be reached or did not answer in time.
var ErrUnavailable = errors.New("NATS is unavailable")

// Bus is a connection to NATS. It reconnects for ever by itself.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	closing *atomic.Bool // its own end is no news
	line    *line
	absent  absence

	embedded bool // the server is a part of this process
}

// Options are the settings of a connection.
type Options struct {
	URL       string // several, comma separated
	Name      string // shown by the server
	CredsFile string // "" for none
	// InProcess connects to an embedded server, instead of URL.
	InProcess nats.InProcessConnProvider
	// OnChange is called with nil when the connection is up, and with the reason when it went away; may be nil.
	OnChange func(err error)
	// OnError is called with what goes wrong while the connection is up, once a minute at most; may be nil.
	OnError func(err error)
}

// Connect returns at once: a server that is away now is connected to as soon as it is there.
func Connect(o Options) (*Bus, error) {
	wire := &line{dialer: net.Dialer{Timeout: 2 * time.Second}, inner: o.InProcess}
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		// A heartbeat that was answered 503 must not land when the connection is back.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		// A frozen server takes no bytes; the library holds its lock while it tries to write them.
		nats.FlusherTimeout(writeLimit),
		nats.SetCustomDialer(wire),
		nats.IgnoreDiscoveredServers(),
		nats.ErrorHandler(complaints(o.OnError, time.Now)),
	}
	if o.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredsFile))
	}
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(wire))
	}
	closing := new(atomic.Bool)
	if o.OnChange != nil {
		opts = append(opts, connectionNews(closing, o.OnChange)...)
	}
	if o.InProcess == nil {
		if err := CheckURL(o.URL); err != nil {
			return nil, err
		}
		if user := userOf(o.URL); user != "" {
			opts = append(opts, nats.CustomInboxPrefix(InboxOf(user)))
		}
	}
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return &Bus{
		nc: nc, js: js, closing: closing, line: wire, embedded: o.InProcess != nil,
		absent: absence{now: time.Now},
	}, nil
}

// CheckURL says what is wrong with a NATS_URL, without showing it: it may hold a password, and the errors of net/url
// do show it.
func CheckURL(list string) error {
	for one := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" {
			return errors.New("NATS_URL is not allowed: it must be addresses such as nats://127.0.0.1:4222, separated by commas")
		}
	}
	return nil
}

// InboxOf is where the answers to a user of the server come. It is the user's own, so that the server can let nobody
// else hear them.
func InboxOf(user string) string { return "_INBOX_" + user }

// userOf is the user named in a NATS_URL, "" for none and for names that cannot be part of a subject.
func userOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	u, err := url.Parse(strings.TrimSpace(first))
	if err != nil || u.User == nil || strings.ContainsAny(u.User.Username(), ".*> \t") {
		return ""
	}
	return u.User.Username()
}

// connectionNews says when the connection comes and goes, but not that it was closed here.
func connectionNews(closing *atomic.Bool, onChange func(error)) []nats.Option {
	up := func(*nats.Conn) { onChange(nil) }
	return []nats.Option{
		nats.ConnectHandler(up),
		nats.ReconnectHandler(up),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if closing.Load() {
				return
			}
			if err == nil {
				err = errors.New("connection closed")
			}
			onChange(err)
		}),
	}
}

// complainEach is the least time between two calls of OnError.
const complainEach = time.Minute

// complaints hands on what the library complains of, but not all of it. Without a handler of ours it would write each
// to standard error.
func complaints(tell func(error), now func() time.Time) nats.ErrHandler {
	var mu sync.Mutex
	var last time.Time
	return func(_ *nats.Conn, sub *nats.Subscription, err error) {
		if tell == nil {
			return
		}
		mu.Lock()
		at := now()
		due := last.IsZero() || at.Sub(last) >= complainEach
		if due {
			last = at
		}
		mu.Unlock()
		if !due {
			return
		}
		if sub != nil {
			err = fmt.Errorf("%s: %w", sub.Subject, err)
		}
		tell(err)
	}
}

// Close ends the connection.
func (b *Bus) Close() {
	b.closing.Store(true)
	b.nc.Close()
}

// Ready says why nothing can be published now, or nil.
func (b *Bus) Ready(context.Context) error {
	if s := b.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("%w (%s)", ErrUnavailable, s)
	}
	return nil
}
