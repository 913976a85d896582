package bot

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// errStale means that the lease could not be renewed for so long that another may have it by now.
var errStale = errors.New("the lease of the bot was not renewed in time")

// beats is how many times a lease is renewed, and looked at by stand-bys, while it would last.
const beats = 4

// holder holds the bot's lease and knows the first update that was not handled yet.
type holder struct {
	store nodestore.Pollers
	lease nodestore.PollerLease
	ttl   time.Duration
	now   func() time.Time

	renewing sync.Mutex // one renewal at a time, so that none takes next back

	mu    sync.Mutex
	next  int64
	since time.Time // when the last renewal that succeeded was asked for
}

// at is the first update that was not handled yet.
func (h *holder) at() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

func (h *holder) renewed(asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = asked
}

// fresh reports whether the lease has certainly not run out. Both clocks must say so: the monotonic one stands still
// while the machine sleeps, the wall clock may be set back.
func (h *holder) fresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	return now.Sub(h.since) < h.ttl && now.Round(0).Sub(h.since.Round(0)) < h.ttl
}

// renew renews the lease and notes that all updates before next were handled; 0 leaves that as it is.
func (h *holder) renew(ctx context.Context, next int64) error {
	h.renewing.Lock()
	defer h.renewing.Unlock()
	next = max(next, h.at())
	asked := h.now()
	rctx, cancel := context.WithTimeout(ctx, h.ttl/2)
	defer cancel()
	if err := h.store.RenewPoller(rctx, h.lease, next); err != nil {
		return err
	}
	h.renewed(asked)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = next
	return nil
}

// keep renews until ctx ends or the lease is lost; then it calls lose with ErrFenced or errStale.
func (h *holder) keep(ctx context.Context, lose context.CancelCauseFunc) {
	for {
		sleep(ctx, h.ttl/beats)
		if ctx.Err() != nil {
			return
		}
		switch err := h.renew(ctx, 0); {
		case err == nil:
		case errors.Is(err, nodestore.ErrFenced):
			lose(nodestore.ErrFenced)
			return
		case !h.fresh():
			lose(errStale)
			return
		}
	}
}

// sight is what a stand-by has seen of a lease that another holds.
type sight struct {
	lease     nodestore.PollerLease
	at        time.Time     // of the last look
	unchanged time.Duration // for how long it was seen to stay as it is
}

// look notes the lease as it was found just before now, and reports whether its owner is gone: the lease was seen
// unchanged for a ttl. Only time in which it could be looked at counts.
func (s *sight) look(l nodestore.PollerLease, now time.Time, ttl time.Duration) (gone bool) {
	if l == s.lease {
		s.unchanged += max(min(now.Sub(s.at), 2*ttl/beats), 0)
	} else {
		s.lease, s.unchanged = l, 0
	}
	s.at = now
	return s.unchanged >= ttl
}
