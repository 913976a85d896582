// Package bus is JetStream as this system uses it: connect, make the streams, publish, consume.
package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// ErrUnavailable means that NATS or its JetStream cannot be reached or did not answer in time.
var ErrUnavailable = errors.New("NATS is unavailable")

// Bus is a connection to NATS. It reconnects for ever by itself.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	closing *atomic.Bool // its own end is no news
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
}

// Connect returns at once: a server that is away now is connected to as soon as it is there.
func Connect(o Options) (*Bus, error) {
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
		nats.IgnoreDiscoveredServers(),
	}
	if o.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredsFile))
	}
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess))
	}
	closing := new(atomic.Bool)
	if o.OnChange != nil {
		opts = append(opts, connectionNews(closing, o.OnChange)...)
	}
	if o.InProcess == nil {
		if err := CheckURL(o.URL); err != nil {
			return nil, err
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
	return &Bus{nc: nc, js: js, closing: closing}, nil
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

// StreamLimits bound the heartbeats stream.
type StreamLimits struct {
	MaxBytes int64 // at most half the disk; 0 for DefaultMaxBytes, halved until the server has room for it
	Replicas int   // 0 for 1
}

const (
	// DefaultMaxBytes is 48 hours of 100,000 nodes at a heartbeat a minute and 400 bytes each, and then some.
	DefaultMaxBytes = 128 << 30
	minMaxBytes     = 16 << 20

	heartbeatsMaxAge = 48 * time.Hour
	eventsMaxAge     = 7 * 24 * time.Hour
	eventsMaxBytes   = 16 << 20
)

// EnsureStreams makes the partition's streams, or leaves them as they are when they exist.
func (b *Bus) EnsureStreams(ctx context.Context, partition int, l StreamLimits) error {
	// Streams reserve their room: the small one comes first, the other takes what the server still has.
	err := b.ensure(ctx, jetstream.StreamConfig{
		Name:        contract.EventsStream,
		Description: "committed transitions and monitor events",
		Subjects:    []string{"event.*"},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      eventsMaxAge,
		MaxBytes:    eventsMaxBytes,
		Replicas:    max(l.Replicas, 1),
	})
	if err != nil {
		return err
	}
	cfg := jetstream.StreamConfig{
		Name:        contract.HeartbeatsStream(partition),
		Description: "everything that can change a node, in order",
		Subjects:    []string{contract.HeartbeatSubject(partition), contract.CommandSubject(partition)},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      heartbeatsMaxAge,
		MaxBytes:    l.MaxBytes,
		Replicas:    max(l.Replicas, 1),
	}
	if l.MaxBytes != 0 {
		return b.ensure(ctx, cfg)
	}
	return b.ensureLargest(ctx, cfg)
}

// ensureLargest asks for less room until the server has it.
func (b *Bus) ensureLargest(ctx context.Context, cfg jetstream.StreamConfig) error {
	for cfg.MaxBytes = DefaultMaxBytes; ; cfg.MaxBytes /= 2 {
		err := b.ensure(ctx, cfg)
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != errInsufficientStorage || cfg.MaxBytes <= minMaxBytes {
			return err
		}
	}
}

func (b *Bus) ensure(ctx context.Context, cfg jetstream.StreamConfig) error {
	// Creating one that exists would ask for its room a second time.
	_, err := b.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.js.CreateStream(ctx, cfg)
	}
	var api *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, jetstream.ErrStreamNameAlreadyInUse): // another was quicker
		return nil
	case errors.As(err, &api) && api.ErrorCode == errInsufficientStorage:
		return fmt.Errorf("make stream %s: the disk of NATS is too small, it needs %d MiB more: %w",
			cfg.Name, cfg.MaxBytes>>20, unavailable(err))
	}
	return fmt.Errorf("make stream %s: %w", cfg.Name, unavailable(err))
}

// errInsufficientStorage is JSStorageResourcesExceededErr of nats-server (errors.json).
const errInsufficientStorage = 10047

// Publish stores one message and returns its sequence in the stream. It is never retried: after an error the message
// may have been stored or not. The context bounds the wait for the acknowledgement.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) (uint64, error) {
	ack, err := b.js.Publish(ctx, subject, data, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("publish to %s: %w", subject, unavailable(err))
	}
	return ack.Sequence, nil
}

// Announce publishes an event under its id, so that a repetition within two minutes is dropped by the server.
func (b *Bus) Announce(ctx context.Context, partition int, id string, data []byte) error {
	_, err := b.js.Publish(ctx, contract.EventSubject(partition), data,
		jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("announce %s: %w", id, unavailable(err))
	}
	return nil
}

// OnEvent calls f with every announced event of all partitions from now on. Some may be missed: it is a wake-up.
func (b *Bus) OnEvent(f func(data []byte)) (stop func(), err error) {
	sub, err := b.nc.Subscribe("event.*", func(m *nats.Msg) { f(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// unavailable adds ErrUnavailable to what may be cured by waiting; a closed connection, a full disk, no leader, no
// answer: for a caller they are one.
func unavailable(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, nats.ErrReconnectBufExceeded): // there is no such buffer here: see Connect
		return fmt.Errorf("%w: not connected", ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
