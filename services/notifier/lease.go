package notifier

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// errStale means that the lease could not be renewed for so long that another may have it by now.
var errStale = errors.New("the lease of the chat was not renewed in time")

// beats is how many times a lease is renewed, and looked at by stand-bys, while it would last.
const beats = 4

// keeper renews a lease on a timer of its own, so that a slow Telegram cannot lose it.
type keeper struct {
	store nodestore.Deliveries
	lease nodestore.ChatLease
	ttl   time.Duration
	now   func() time.Time

	mu    sync.Mutex
	since time.Time
}

// renewed notes a renewal that was asked for at the given time: nobody takes over within a ttl from there.
func (k *keeper) renewed(asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since = asked
}

// fresh reports whether the lease has certainly not run out: a process that was frozen must not send. Both clocks
// must say so: the monotonic one stands still while the machine sleeps, the wall clock may be set back.
func (k *keeper) fresh() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	return now.Sub(k.since) < k.ttl && now.Round(0).Sub(k.since.Round(0)) < k.ttl
}

// keep renews until ctx ends or the lease is lost; then it calls lose with ErrFenced or errStale.
func (k *keeper) keep(ctx context.Context, lose context.CancelCauseFunc) {
	for {
		sleep(ctx, k.ttl/beats)
		if ctx.Err() != nil {
			return
		}
		asked := k.now()
		rctx, cancel := context.WithTimeout(ctx, k.ttl/2)
		err := k.store.RenewChat(rctx, k.lease, k.ttl)
		cancel()
		switch {
		case err == nil:
			crashpoint.Here("notifier.renewed")
			k.renewed(asked)
		case errors.Is(err, nodestore.ErrFenced):
			lose(nodestore.ErrFenced)
			return
		case !k.fresh():
			lose(errStale)
			return
		}
	}
}

// sight is what a stand-by has seen of a lease that another holds.
type sight struct {
	lease     nodestore.ChatLease
	at        time.Time     // of the last look
	unchanged time.Duration // for how long it was seen to stay as it is
}

// look notes the lease as it was found just before now, and reports whether its owner is gone: the lease was seen
// unchanged for a ttl. Only time in which it could be looked at counts, for when the database was away for all,
// the owner could not renew either.
func (s *sight) look(l nodestore.ChatLease, now time.Time, ttl time.Duration) (gone bool) {
	if l == s.lease {
		s.unchanged += max(min(now.Sub(s.at), 2*ttl/beats), 0)
	} else {
		s.lease, s.unchanged = l, 0
	}
	s.at = now
	return s.unchanged >= ttl
}

// leased is the context of a send. It is over as soon as the lease is, which Err finds out by the clock: whoever asks
// right before a message leaves cannot be deceived by a timer that was frozen along.
//
// An answer that is waited for may come later than that. To give it up would not take the message back.
type leased struct {
	context.Context
	fresh   func() bool
	expired *atomic.Bool // Err has said so
}

// Err implements context.Context.
func (l leased) Err() error {
	if err := l.Context.Err(); err != nil {
		return err
	}
	if !l.fresh() {
		l.expired.Store(true)
		return errStale
	}
	return nil
}
