package notifier

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
)

// retireAfter is how long a chat that is not configured here must be told by nobody before it is retired: another
// notifier, not restarted yet, may still have it.
const retireAfter = time.Minute

// retirer finds chats that nobody tells any more because they were taken out of the configuration. They would count
// as waiting for ever. Notifiers on one database share their chats, so one that is here is wanted by all.
type retirer struct {
	store  nodestore.Deliveries
	wanted []string
	now    func() time.Time
	log    zerolog.Logger
	seen   map[string]*lease.Sight[nodestore.ChatLease]
}

func newRetirer(o Options) *retirer {
	return &retirer{store: o.Store, wanted: o.told, now: o.Now, log: o.Log, seen: make(map[string]*lease.Sight[nodestore.ChatLease])}
}

// run looks until ctx ends. Failures are left to the next look: nothing hangs on it.
func (r *retirer) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.look(ctx)
		sleep(ctx, retireAfter/lease.Beats)
	}
}

func (r *retirer) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flowLimit)
	defer cancel()
	all, err := r.store.ChatLeases(ctx)
	if err != nil {
		return
	}
	for _, l := range all {
		if slices.Contains(r.wanted, l.Chat) {
			continue
		}
		if r.seen[l.Chat] == nil {
			r.seen[l.Chat] = new(lease.Sight[nodestore.ChatLease])
		}
		if r.seen[l.Chat].Look(l, r.now(), retireAfter) {
			r.retire(ctx, l)
		}
	}
}

func (r *retirer) retire(ctx context.Context, l nodestore.ChatLease) {
	switch err := r.store.RetireChat(ctx, l); {
	case err == nil:
		delete(r.seen, l.Chat)
		r.log.Info().Str("chat", l.Chat).
			Msg("this chat is in neither TELEGRAM_CHAT_ID nor ROUTES any more: it is told nothing, and what it was not told does not count as waiting")
	case !errors.Is(err, nodestore.ErrHeld) && !nodestore.Passing(err) && ctx.Err() == nil:
		r.log.Warn().Err(err).Str("chat", l.Chat).Msg("a chat that is not configured any more could not be retired")
	}
}
