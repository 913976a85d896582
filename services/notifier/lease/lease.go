// Package lease is what a process knows of a lease by its own clocks: whether its own still lasts, and whether another's
// owner is gone. The store's clock decides neither, for it may step.
package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// ErrStale means that a lease could not be renewed for so long that another may have it by now.
var ErrStale = errors.New("the lease was not renewed in time")

// Beats is how many times a lease is renewed, and looked at by stand-bys, while it would last.
const Beats = 4

// Hold is a lease that this process holds. It is safe for concurrent use.
type Hold struct {
	TTL time.Duration
	Now func() time.Time

	mu    sync.Mutex
	since time.Time
}

// Renewed notes a renewal, or the taking, that was asked for at the given time: nobody takes over within a TTL from there.
func (h *Hold) Renewed(asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = asked
}

// Fresh reports whether the lease has certainly not run out: a process that was frozen must do nothing more under it.
// Both clocks must say so: the monotonic one stands still while the machine sleeps, the wall clock may be set back.
func (h *Hold) Fresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	return now.Sub(h.since) < h.TTL && now.Round(0).Sub(h.since.Round(0)) < h.TTL
}

// Renew asks the store for a renewal and notes it when it succeeds.
func (h *Hold) Renew(ctx context.Context, ask func(context.Context) error) error {
	asked := h.Now()
	ctx, cancel := context.WithTimeout(ctx, h.TTL/2)
	defer cancel()
	if err := ask(ctx); err != nil {
		return err
	}
	h.Renewed(asked)
	return nil
}

// Keep renews on a timer of its own, so that whatever is slow under the lease cannot lose it, until ctx ends or the lease
// is lost; then it calls lose with nodestore.ErrFenced or ErrStale.
func (h *Hold) Keep(ctx context.Context, renew func(context.Context) error, lose context.CancelCauseFunc) {
	t := time.NewTicker(h.TTL / Beats)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		switch err := renew(ctx); {
		case err == nil:
		case errors.Is(err, nodestore.ErrFenced):
			lose(nodestore.ErrFenced)
			return
		case !h.Fresh():
			lose(ErrStale)
			return
		}
	}
}

// Sight is what a stand-by has seen of a lease L that another holds.
type Sight[L comparable] struct {
	lease     L
	at        time.Time     // of the last look
	unchanged time.Duration // for how long it was seen to stay as it is
}

// Look notes the lease as it was found just before now, and reports whether its owner is gone: the lease was seen
// unchanged for a ttl. Only time in which it could be looked at counts, for when the database was away for all, the
// owner could not renew either.
func (s *Sight[L]) Look(l L, now time.Time, ttl time.Duration) (gone bool) {
	if l == s.lease {
		s.unchanged += max(min(now.Sub(s.at), 2*ttl/Beats), 0)
	} else {
		s.lease, s.unchanged = l, 0
	}
	s.at = now
	return s.unchanged >= ttl
}
