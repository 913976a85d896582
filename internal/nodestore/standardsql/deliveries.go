package standardsql

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// told is the partition whose events are told. There is one only; the cursors have the number in their key.
const told = 0

// AcquireChat implements nodestore.Deliveries.
func (s Store) AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (nodestore.ChatLease, error) {
	const op = "acquire chat"
	l := nodestore.ChatLease{Chat: chat, Owner: owner}
	from, err := s.free(ctx, chatSeat(chat), owner, ttl)
	if err != nil {
		return nodestore.ChatLease{}, wrap(op, err)
	}
	err = s.write(ctx, op, func(tx session) (err error) {
		if err := addChat(ctx, tx, chat, lookback); err != nil {
			return err
		}
		l.Term, err = chatSeat(chat).take(ctx, tx, owner, ttl, from)
		return err
	})
	if err != nil {
		return nodestore.ChatLease{}, err
	}
	return l, nil
}

// addChat creates the chat if there is none, with its cursor behind all events found before the lookback.
func addChat(ctx context.Context, tx session, chat string, lookback time.Duration) error {
	created, err := tx.exec(ctx, `INSERT INTO chats (chat, owner, term, expires_at, last_told)
		VALUES ($1, '', 0, 0, 0) ON CONFLICT (chat) DO NOTHING`, chat)
	if err != nil || created == 0 {
		return err
	}
	c := cursor{ordinal: -1}
	if _, err := tx.one(ctx, `SELECT epoch, seq, ordinal FROM events WHERE partition = $1 AND found <= {now} - $2
		ORDER BY epoch DESC, seq DESC, ordinal DESC LIMIT 1`,
		[]any{told, int64(lookback)}, &c.epoch, &c.seq, &c.ordinal); err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO cursors (chat, partition, epoch, seq, ordinal) VALUES ($1, $2, $3, $4, $5)`,
		chat, told, c.epoch, c.seq, c.ordinal)
	return err
}

// RenewChat implements nodestore.Deliveries.
func (s Store) RenewChat(ctx context.Context, l nodestore.ChatLease, ttl time.Duration) error {
	return s.write(ctx, "renew the lease of a chat", func(tx session) error {
		return chatSeat(l.Chat).renew(ctx, tx, l.Term, ttl)
	})
}

// ReleaseChat implements nodestore.Deliveries.
func (s Store) ReleaseChat(ctx context.Context, l nodestore.ChatLease) error {
	return s.write(ctx, "release chat", func(tx session) error { return chatSeat(l.Chat).release(ctx, tx, l.Term) })
}

type chatLease nodestore.ChatLease

// hold fences a transaction: until it ends nobody can take the chat over.
func (l chatLease) hold(ctx context.Context, tx session) error { return l.check(ctx, tx, "{lock}") }

// check fences a reader.
func (l chatLease) check(ctx context.Context, tx session, lock string) error {
	var one int
	return fenced(tx.one(ctx, `SELECT 1 FROM chats WHERE chat = $1 AND term = $2`+lock, []any{l.Chat, l.Term}, &one))
}

// cursor is the last event that a chat has passed.
type cursor struct{ epoch, seq, ordinal int64 }

func (s session) cursor(ctx context.Context, chat string) (c cursor, err error) {
	_, err = s.one(ctx, `SELECT epoch, seq, ordinal FROM cursors WHERE chat = $1 AND partition = $2`,
		[]any{chat, told}, &c.epoch, &c.seq, &c.ordinal)
	return c, err
}

// after returns the last of the next events, at most limit, and how many they are.
func (s session) after(ctx context.Context, c cursor, limit int) (last cursor, n int, err error) {
	err = s.each(ctx, `SELECT epoch, seq, ordinal FROM events
		WHERE partition = $1 AND (epoch, seq, ordinal) > ($2, $3, $4) ORDER BY epoch, seq, ordinal LIMIT $5`,
		[]any{told, c.epoch, c.seq, c.ordinal, limit}, func(scan func(...any) error) (bool, error) {
			n++
			return true, scan(&last.epoch, &last.seq, &last.ordinal)
		})
	return last, n, err
}

// Collect implements nodestore.Deliveries. It writes only when there is something new.
func (s Store) Collect(ctx context.Context, l nodestore.ChatLease, limit int) (n int, err error) {
	if idle, err := s.upToDate(ctx, l); idle || err != nil {
		return 0, err
	}
	err = s.write(ctx, "collect alerts", func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		from, err := tx.cursor(ctx, l.Chat)
		if err != nil {
			return err
		}
		var to cursor
		if to, n, err = tx.after(ctx, from, limit); n == 0 || err != nil {
			return err
		}
		return tx.advance(ctx, l.Chat, from, to)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (s Store) upToDate(ctx context.Context, l nodestore.ChatLease) (idle bool, err error) {
	err = s.read(ctx, "look for alerts", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		c, err := tx.cursor(ctx, l.Chat)
		if err != nil {
			return err
		}
		_, n, err := tx.after(ctx, c, 1)
		idle = n == 0
		return err
	})
	return idle, err
}

// advance makes deliveries of the events between two cursors and moves the chat's.
func (s session) advance(ctx context.Context, chat string, from, to cursor) error {
	if _, err := s.exec(ctx, `INSERT INTO deliveries (chat, event_id, partition, epoch, seq, ordinal)
		SELECT $1, id, partition, epoch, seq, ordinal FROM events
		WHERE partition = $2 AND (epoch, seq, ordinal) > ($3, $4, $5) AND (epoch, seq, ordinal) <= ($6, $7, $8)
			AND NOT quiet
		ON CONFLICT (chat, event_id) DO NOTHING`,
		chat, told, from.epoch, from.seq, from.ordinal, to.epoch, to.seq, to.ordinal); err != nil {
		return err
	}
	_, err := s.exec(ctx, `UPDATE cursors SET epoch = $3, seq = $4, ordinal = $5 WHERE chat = $1 AND partition = $2`,
		chat, told, to.epoch, to.seq, to.ordinal)
	return err
}
