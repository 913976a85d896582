package bot

import (
	"context"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
)

// holder holds the bot's lease and knows the first update that was not handled yet.
type holder struct {
	lease.Hold
	store nodestore.Pollers
	lease nodestore.PollerLease

	renewing sync.Mutex // one renewal at a time, so that none takes next back

	mu   sync.Mutex
	next int64
}

// at is the first update that was not handled yet.
func (h *holder) at() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

// renew renews the lease and notes that all updates before next were handled; 0 leaves that as it is.
func (h *holder) renew(ctx context.Context, next int64) error {
	h.renewing.Lock()
	defer h.renewing.Unlock()
	next = max(next, h.at())
	if err := h.Renew(ctx, func(ctx context.Context) error { return h.store.RenewPoller(ctx, h.lease, next) }); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = next
	return nil
}

// keep renews until ctx ends or the lease is lost.
func (h *holder) keep(ctx context.Context, lose context.CancelCauseFunc) {
	h.Keep(ctx, func(ctx context.Context) error { return h.renew(ctx, 0) }, lose)
}
