package standardsql

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// released in expires_at is a lease that nobody holds. Any other value is for the page, and changes with renewals.
const released = 0

// AcquireChat implements nodestore.Deliveries. A stand-by, whose attempts fail, writes nothing.
func (s Store) AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (nodestore.ChatLease, error) {
	seen, err := s.held(ctx, chat, owner)
	if err != nil {
		return seen, err
	}
	l := nodestore.ChatLease{Chat: chat, Owner: owner}
	err = s.write(ctx, "acquire chat", func(tx session) error {
		if err := addChat(ctx, tx, chat, lookback); err != nil {
			return err
		}
		free, err := tx.one(ctx, `UPDATE chats SET owner = $2, term = term + 1, expires_at = {now} + $3
			WHERE chat = $1 AND (owner = $2 OR expires_at = $4) RETURNING term, moved_to`,
			[]any{chat, owner, int64(ttl), released}, &l.Term, &l.MovedTo)
		if err := heldUnless(free, err); err != nil {
			return err
		}
		return welcomeBack(ctx, tx, chat, lookback)
	})
	if err != nil {
		return nodestore.ChatLease{}, err
	}
	return l, nil
}

// held looks whether another owner has the lease: ErrHeld then.
func (s Store) held(ctx context.Context, chat, owner string) (seen nodestore.ChatLease, err error) {
	err = s.read(ctx, "look at the lease of a chat", func(tx session) error {
		l := nodestore.ChatLease{Chat: chat}
		known, err := tx.one(ctx, `SELECT owner, term, expires_at FROM chats WHERE chat = $1`,
			[]any{chat}, &l.Owner, &l.Term, &l.Renewed)
		if err == nil && known && l.Owner != owner && l.Renewed != released {
			seen, err = l, nodestore.ErrHeld
		}
		return err
	})
	return seen, err
}

// heldUnless is the error of a take-over: ErrHeld unless it succeeded.
func heldUnless(taken bool, err error) error {
	if err == nil && !taken {
		err = nodestore.ErrHeld
	}
	return err
}

// addChat creates the chat if there is none, with its cursor behind all events found before the lookback, or where the
// chat stood that moved here.
func addChat(ctx context.Context, tx session, chat string, lookback time.Duration) error {
	created, err := tx.exec(ctx, `INSERT INTO chats (chat, owner, term, expires_at, last_told)
		VALUES ($1, '', 0, 0, 0) ON CONFLICT (chat) DO NOTHING`, chat)
	if err != nil || created == 0 {
		return err
	}
	c, succeeds, err := tx.succeed(ctx, chat)
	if err == nil && !succeeds {
		c, err = tx.foundBefore(ctx, lookback)
	}
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO cursors (chat, partition, epoch, seq, ordinal) VALUES ($1, $2, $3, $4, $5)`,
		chat, told, c.epoch, c.seq, c.ordinal)
	return err
}

// foundBefore is the last event that was found before the lookback.
func (s session) foundBefore(ctx context.Context, lookback time.Duration) (cursor, error) {
	c := cursor{ordinal: -1}
	_, err := s.one(ctx, `SELECT epoch, seq, ordinal FROM events WHERE partition = $1 AND found <= {now} - $2
		ORDER BY epoch DESC, seq DESC, ordinal DESC LIMIT 1`,
		[]any{told, int64(lookback)}, &c.epoch, &c.seq, &c.ordinal)
	return c, err
}

// welcomeBack ends a chat's retirement. After a long one it gives up what was found before the lookback.
func welcomeBack(ctx context.Context, tx session, chat string, lookback time.Duration) error {
	var away time.Duration
	retired, err := tx.one(ctx, `SELECT {now} - retired_at FROM chats WHERE chat = $1 AND retired_at <> 0`,
		[]any{chat}, &away)
	if err != nil || !retired {
		return err
	}
	if away > nodestore.Returning {
		if err := tx.giveUp(ctx, chat, lookback); err != nil {
			return err
		}
	}
	_, err = tx.exec(ctx, `UPDATE chats SET retired_at = 0 WHERE chat = $1`, chat)
	return err
}

// giveUp leaves untold what was found before the lookback. First every event gets its delivery, so that the record
// says of each what became of it.
func (s session) giveUp(ctx context.Context, chat string, lookback time.Duration) error {
	from, err := s.cursor(ctx, chat)
	if err != nil {
		return err
	}
	to, err := s.foundBefore(ctx, lookback)
	if err != nil {
		return err
	}
	if from.before(to) {
		if err := s.advance(ctx, chat, from, to); err != nil {
			return err
		}
	}
	// A frozen notification that tells anything new is told whole: its text cannot change any more.
	if _, err := s.exec(ctx, `UPDATE notifications SET told_at = {now}, given_up = $3 WHERE chat = $1 AND told_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM deliveries d JOIN events e ON e.id = d.event_id
			WHERE d.notification = notifications.id AND e.found > {now} - $2)`, chat, int64(lookback), true); err != nil {
		return err
	}
	return s.giveUpWaiting(ctx, chat, lookback)
}

// giveUpWaiting binds what waits in no notification to one that is never sent.
func (s session) giveUpWaiting(ctx context.Context, chat string, lookback time.Duration) error {
	const old = `chat = $1 AND ` + unbound + `
		AND event_id IN (SELECT e.id FROM events e WHERE e.id = event_id AND e.found <= {now} - $2)`
	var n int
	if _, err := s.one(ctx, `SELECT count(*) FROM deliveries WHERE `+old, []any{chat, int64(lookback)}, &n); err != nil || n == 0 {
		return err
	}
	var id int64
	if _, err := s.one(ctx, `INSERT INTO notifications (chat, html, reply_to, frozen_at, told_at, given_up)
		VALUES ($1, '', 0, {now}, {now}, $2) RETURNING id`, []any{chat, true}, &id); err != nil {
		return err
	}
	_, err := s.exec(ctx, `UPDATE deliveries SET notification = $3, held = '' WHERE `+old, chat, int64(lookback), id)
	return err
}

// TakeOverChat implements nodestore.Deliveries.
func (s Store) TakeOverChat(ctx context.Context, seen nodestore.ChatLease, owner string, ttl time.Duration) (nodestore.ChatLease, error) {
	l := nodestore.ChatLease{Chat: seen.Chat, Owner: owner}
	err := s.write(ctx, "take over a chat", func(tx session) error {
		taken, err := tx.one(ctx, `UPDATE chats SET owner = $2, term = term + 1, expires_at = {now} + $3
			WHERE chat = $1 AND term = $4 AND expires_at = $5 AND retired_at = 0 RETURNING term, moved_to`,
			[]any{seen.Chat, owner, int64(ttl), seen.Term, seen.Renewed}, &l.Term, &l.MovedTo)
		return heldUnless(taken, err)
	})
	if err != nil {
		return nodestore.ChatLease{}, err
	}
	return l, nil
}

// ChatLeases implements nodestore.Deliveries.
func (s Store) ChatLeases(ctx context.Context) (out []nodestore.ChatLease, err error) {
	err = s.read(ctx, "look at the leases of chats", func(tx session) error {
		return tx.each(ctx, `SELECT chat, owner, term, expires_at, moved_to FROM chats WHERE retired_at = 0 ORDER BY chat`, nil,
			func(scan func(...any) error) (bool, error) {
				var l nodestore.ChatLease
				err := scan(&l.Chat, &l.Owner, &l.Term, &l.Renewed, &l.MovedTo)
				out = append(out, l)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// RetireChat implements nodestore.Deliveries. The term grows, so that an owner which was frozen is fenced.
func (s Store) RetireChat(ctx context.Context, seen nodestore.ChatLease) error {
	return s.write(ctx, "retire a chat", func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE chats SET term = term + 1, expires_at = $4, retired_at = {now}
			WHERE chat = $1 AND term = $2 AND expires_at = $3 AND retired_at = 0`,
			seen.Chat, seen.Term, seen.Renewed, released)
		return heldUnless(n > 0, err)
	})
}

// MoveChat implements nodestore.Deliveries. The numbers of messages before are forgotten.
func (s Store) MoveChat(ctx context.Context, l nodestore.ChatLease, to string) error {
	return s.write(ctx, "move a chat", func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE chats SET moved_to = $3 WHERE chat = $1 AND term = $2`, l.Chat, l.Term, to)
		if err := fenced(n > 0, err); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE notifications SET message_id = 0 WHERE chat = $1 AND message_id <> 0`, l.Chat)
		return err
	})
}

// RenewChat implements nodestore.Deliveries.
func (s Store) RenewChat(ctx context.Context, l nodestore.ChatLease, ttl time.Duration) error {
	return s.write(ctx, "renew the lease of a chat", func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE chats SET expires_at = {now} + $3 WHERE chat = $1 AND term = $2`,
			l.Chat, l.Term, int64(ttl))
		return fenced(n > 0, err)
	})
}

// ReleaseChat implements nodestore.Deliveries.
func (s Store) ReleaseChat(ctx context.Context, l nodestore.ChatLease) error {
	return s.write(ctx, "release chat", func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE chats SET expires_at = 0 WHERE chat = $1 AND term = $2`, l.Chat, l.Term)
		return fenced(n > 0, err)
	})
}
