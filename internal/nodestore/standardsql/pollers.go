package standardsql

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// AcquirePoller implements nodestore.Pollers. A stand-by, whose attempts fail, writes nothing.
func (s Store) AcquirePoller(ctx context.Context, bot, owner string, ttl time.Duration) (nodestore.PollerLease, error) {
	seen := nodestore.PollerLease{Bot: bot}
	err := s.read(ctx, "look at the lease of a bot", func(tx session) error {
		var expires int64
		known, err := tx.one(ctx, `SELECT owner, term, next_update, renewals, expires_at FROM bots WHERE bot = $1`,
			[]any{bot}, &seen.Owner, &seen.Term, &seen.Next, &seen.Renewed, &expires)
		return heldUnless(!known || seen.Owner == Clean(owner) || expires == released, err)
	})
	if err != nil {
		return seen, err
	}
	l := nodestore.PollerLease{Bot: bot, Owner: owner}
	err = s.write(ctx, "acquire a bot", func(tx session) error {
		if _, err := tx.exec(ctx, `INSERT INTO bots (bot, owner, term, expires_at, ttl, renewals, next_update)
			VALUES ($1, '', 0, 0, 0, 0, 0) ON CONFLICT (bot) DO NOTHING`, bot); err != nil {
			return err
		}
		free, err := tx.one(ctx, `UPDATE bots SET owner = $2, term = term + 1, expires_at = {now} + $3, ttl = $3,
			renewals = renewals + 1 WHERE bot = $1 AND (owner = $2 OR expires_at = $4) RETURNING term, next_update`,
			[]any{bot, owner, int64(ttl), released}, &l.Term, &l.Next)
		return heldUnless(free, err)
	})
	if err != nil {
		return nodestore.PollerLease{}, err
	}
	return l, nil
}

// TakeOverPoller implements nodestore.Pollers.
func (s Store) TakeOverPoller(ctx context.Context, seen nodestore.PollerLease, owner string, ttl time.Duration) (nodestore.PollerLease, error) {
	l := nodestore.PollerLease{Bot: seen.Bot, Owner: owner}
	err := s.write(ctx, "take over a bot", func(tx session) error {
		taken, err := tx.one(ctx, `UPDATE bots SET owner = $2, term = term + 1, expires_at = {now} + $3, ttl = $3,
			renewals = renewals + 1 WHERE bot = $1 AND term = $4 AND renewals = $5 RETURNING term, next_update`,
			[]any{seen.Bot, owner, int64(ttl), seen.Term, seen.Renewed}, &l.Term, &l.Next)
		return heldUnless(taken, err)
	})
	if err != nil {
		return nodestore.PollerLease{}, err
	}
	return l, nil
}

// RenewPoller implements nodestore.Pollers.
func (s Store) RenewPoller(ctx context.Context, l nodestore.PollerLease, next int64) error {
	return s.write(ctx, "renew the lease of a bot", func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE bots SET expires_at = {now} + ttl, renewals = renewals + 1, next_update = $3
			WHERE bot = $1 AND term = $2`, l.Bot, l.Term, next)
		return fenced(n > 0, err)
	})
}

// ReleasePoller implements nodestore.Pollers.
func (s Store) ReleasePoller(ctx context.Context, l nodestore.PollerLease) error {
	return s.write(ctx, "release a bot", func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE bots SET expires_at = $3 WHERE bot = $1 AND term = $2`, l.Bot, l.Term, released)
		return fenced(n > 0, err)
	})
}
