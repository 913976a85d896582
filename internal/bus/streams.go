package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// StreamLimits bound the heartbeats stream.
type StreamLimits struct {
	MaxBytes int64 // at most half the disk; 0 for DefaultMaxBytes, halved until the server has room for it
	Replicas int   // on so many servers of a NATS cluster: 1, 3 or 5; 0 for 1
}

// ReplicasAllowed reports whether a stream can have so many replicas: an even number survives no more than the odd one
// below it.
func ReplicasAllowed(n int) bool { return n == 1 || n == 3 || n == 5 }

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
	heartbeats := contract.HeartbeatsStream(partition)
	// Both are looked for before either is made, so that in a cluster they settle at the same time.
	hasEvents, eventsErr := b.look(ctx, contract.EventsStream)
	hasHeartbeats, heartbeatsErr := b.look(ctx, heartbeats)
	hasTokens, tokensErr := b.look(ctx, bucketStream(contract.TokensBucket))
	if err := cmp.Or(eventsErr, heartbeatsErr, tokensErr); err != nil {
		return err
	}
	// Streams reserve their room: the small one comes first, the other takes what the server still has.
	events := jetstream.StreamConfig{
		Name:        contract.EventsStream,
		Description: "committed transitions and monitor events",
		Subjects:    []string{"event.*"},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      eventsMaxAge,
		MaxBytes:    eventsMaxBytes,
		Replicas:    max(l.Replicas, 1),
	}
	if !hasEvents {
		if err := b.create(ctx, events); err != nil {
			return err
		}
	}
	if !hasTokens {
		if err := b.create(ctx, bucketConfig(contract.TokensBucket, l.Replicas)); err != nil {
			return err
		}
	}
	cfg := jetstream.StreamConfig{
		Name:        heartbeats,
		Description: "everything that can change a node, in order",
		Subjects:    []string{contract.HeartbeatSubject(partition), contract.CommandSubject(partition)},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      heartbeatsMaxAge,
		MaxBytes:    l.MaxBytes,
		Replicas:    max(l.Replicas, 1),
	}
	switch {
	case hasHeartbeats:
		return nil
	case l.MaxBytes != 0:
		return b.create(ctx, cfg)
	}
	return b.createLargest(ctx, cfg)
}

// createLargest asks for less room until the server has it.
func (b *Bus) createLargest(ctx context.Context, cfg jetstream.StreamConfig) error {
	for cfg.MaxBytes = DefaultMaxBytes; ; cfg.MaxBytes /= 2 {
		err := b.create(ctx, cfg)
		if !tooLarge(err) || cfg.MaxBytes <= minMaxBytes {
			return err
		}
	}
}

// tooLarge reports whether a smaller stream could be made. A cluster says of its servers that they lack room, and may
// lack more than that: then another size does not help, and would be kept when they are there.
func tooLarge(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.ErrorCode == errInsufficientStorage || api.ErrorCode == errNoPeers && strings.HasSuffix(api.Description, "placement, insufficient storage")
}

// look reports whether there is the stream. That one is missing is an error until it is certain. Creating one that exists
// would ask for its room a second time.
func (b *Bus) look(ctx context.Context, name string) (exists bool, err error) {
	_, err = b.js.Stream(ctx, name)
	switch {
	case err == nil:
		b.absent.end(name)
		return true, nil
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		b.absent.end(name)
		return false, fmt.Errorf("look for stream %s: %w", name, unavailable(err))
	case b.nc.ConnectedClusterName() != "" && b.absent.missing(name) < settle:
		return false, fmt.Errorf("make stream %s: %w: it seems to be missing; made in %v unless the cluster finds it",
			name, ErrUnavailable, settle)
	}
	return false, nil
}

func (b *Bus) create(ctx context.Context, cfg jetstream.StreamConfig) error {
	_, err := b.js.CreateStream(ctx, cfg)
	var api *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, jetstream.ErrStreamNameAlreadyInUse): // another was quicker
		return nil
	case errors.As(err, &api) && api.ErrorCode == errInsufficientStorage:
		return fmt.Errorf("make stream %s: the disk of NATS is too small, it needs %d MiB more: %w",
			cfg.Name, cfg.MaxBytes>>20, unavailable(err))
	case errors.As(err, &api) && api.ErrorCode == errReplicasUnsupported:
		return fmt.Errorf("make stream %s: NATS_REPLICAS is %d, but this NATS server is in no cluster: set NATS_REPLICAS=1: %w",
			cfg.Name, cfg.Replicas, unavailable(err))
	case errors.As(err, &api) && api.ErrorCode == errNoPeers:
		return fmt.Errorf("make stream %s: NATS_REPLICAS is %d, and the cluster has not so many servers with room for it: %w",
			cfg.Name, cfg.Replicas, unavailable(err))
	}
	return fmt.Errorf("make stream %s: %w", cfg.Name, unavailable(err))
}

// FewReplicas says which streams of the partition have fewer replicas than wanted, with the command that mends it, or
// nil. It is left to people: copying the stream to other servers takes their disks and network for a while, and
// services with different settings would undo each other's.
func (b *Bus) FewReplicas(ctx context.Context, partition, wanted int) error {
	var few []error
	for _, name := range []string{contract.HeartbeatsStream(partition), contract.EventsStream, bucketStream(contract.TokensBucket)} {
		s, err := b.js.Stream(ctx, name)
		if err != nil {
			return lookup("stream info", err)
		}
		if n := s.CachedInfo().Config.Replicas; n < wanted {
			few = append(few, fmt.Errorf("stream %s has %d replicas, NATS_REPLICAS is %d: run: nats stream edit %s --replicas=%d",
				name, n, wanted, name, wanted))
		}
	}
	return errors.Join(few...)
}

const (
	// settle is how long a stream of a cluster must be missing, look by look, before it is made. A server on its own has
	// recovered its streams before it listens; in a cluster "not found" may come from one that has not heard all yet,
	// and a stream made then would take the place of the one that is coming back.
	settle = 10 * time.Second
	// lookAgain is the longest time between two looks that still show that it was missing all the while.
	lookAgain = 5 * time.Second
)

// absence remembers which streams were missing, and since when.
type absence struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]span
}

type span struct{ first, last time.Time }

// missing notes a look that did not find the stream, and returns for how long none has found it.
func (a *absence) missing(name string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	s := a.seen[name]
	if now.Sub(s.last) > lookAgain {
		s.first = now
	}
	s.last = now
	if a.seen == nil {
		a.seen = make(map[string]span)
	}
	a.seen[name] = s
	return now.Sub(s.first)
}

// end notes a look that found the stream, or found nothing out.
func (a *absence) end(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.seen, name)
}
