package standardsql

import (
	"cmp"
	"context"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// waits selects deliveries that are to be told and in no notification. So do the words of the index deliveries_waiting.
const waits = `d.notification IS NULL AND d.held = '' AND d.untold = ''`

// unbound selects deliveries that are in no notification yet, held ones included. Each half has an index of its own.
const unbound = `notification IS NULL AND untold = '' AND (held = '' OR held <> '')`

// told is the partition whose events are told. There is one only; the cursors have the number in their key.
const told = 0

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

func (c cursor) before(o cursor) bool {
	return cmp.Or(cmp.Compare(c.epoch, o.epoch), cmp.Compare(c.seq, o.seq), cmp.Compare(c.ordinal, o.ordinal)) < 0
}

func (s session) cursor(ctx context.Context, chat string) (c cursor, err error) {
	_, err = s.one(ctx, `SELECT epoch, seq, ordinal FROM cursors WHERE chat = $1 AND partition = $2`,
		[]any{chat, told}, &c.epoch, &c.seq, &c.ordinal)
	return c, err
}

func (s session) setCursor(ctx context.Context, chat string, to cursor) error {
	_, err := s.exec(ctx, `UPDATE cursors SET epoch = $3, seq = $4, ordinal = $5 WHERE chat = $1 AND partition = $2`,
		chat, told, to.epoch, to.seq, to.ordinal)
	return err
}

// advance makes deliveries of the events between two cursors, but for quiet ones, and moves the chat's.
func (s session) advance(ctx context.Context, chat string, from, to cursor) error {
	if _, err := s.exec(ctx, `INSERT INTO deliveries (chat, event_id, partition, epoch, seq, ordinal, node_id)
		SELECT $1, id, partition, epoch, seq, ordinal, node_id FROM events
		WHERE partition = $2 AND (epoch, seq, ordinal) > ($3, $4, $5) AND (epoch, seq, ordinal) <= ($6, $7, $8)
			AND NOT quiet
		ON CONFLICT (chat, event_id) DO NOTHING`,
		chat, told, from.epoch, from.seq, from.ordinal, to.epoch, to.seq, to.ordinal); err != nil {
		return err
	}
	return s.setCursor(ctx, chat, to)
}
