package notifier

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// keeper renews a lease on a timer of its own, so that a slow Telegram cannot lose it.
type keeper struct {
	store nodestore.Deliveries
	lease nodestore.ChatLease
	ttl   time.Duration
	now   func() time.Time

	mu    sync.Mutex
	until time.Time
}

// renewed notes a renewal that was asked for at the given time: the lease lasts at least a ttl from there.
func (k *keeper) renewed(asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until = asked.Add(k.ttl)
}

// fresh reports whether the lease has certainly not run out: a process that was frozen must not send.
func (k *keeper) fresh() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now().Before(k.until)
}

// keep renews until ctx ends or the lease is lost; then it calls lose with ErrFenced.
func (k *keeper) keep(ctx context.Context, lose context.CancelCauseFunc) {
	for {
		sleep(ctx, k.ttl/3)
		if ctx.Err() != nil {
			return
		}
		asked := k.now()
		rctx, cancel := context.WithTimeout(ctx, k.ttl/3)
		err := k.store.RenewChat(rctx, k.lease, k.ttl)
		cancel()
		switch {
		case err == nil:
			crashpoint.Here("notifier.renewed")
			k.renewed(asked)
		case errors.Is(err, nodestore.ErrFenced), !k.fresh():
			lose(nodestore.ErrFenced)
			return
		}
	}
}
