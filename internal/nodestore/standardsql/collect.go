package standardsql

import (
	"context"
	"errors"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Collect implements nodestore.Deliveries. It writes only when there is something new.
func (s Store) Collect(ctx context.Context, l nodestore.ChatLease, limit int, choose nodestore.Chooser) (n int, err error) {
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
		c := collection{chat: l.Chat, from: from}
		if err := c.read(ctx, tx, limit); err != nil || c.passed == 0 {
			return err
		}
		n = c.passed
		return c.store(ctx, tx, choose)
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
		// In order, so that the index is used: a plan for any cursor takes a third of all events for later ones, and would
		// read the table until it meets one.
		var one int
		some, err := tx.one(ctx, `SELECT 1 FROM events WHERE partition = $1 AND (epoch, seq, ordinal) > ($2, $3, $4)
			ORDER BY epoch, seq, ordinal LIMIT 1`, []any{told, c.epoch, c.seq, c.ordinal}, &one)
		idle = !some
		return err
	})
	return idle, err
}

// collection is the next events of a chat.
type collection struct {
	chat       string
	from, to   cursor
	passed     int // events, with quiet ones
	candidates []nodestore.Candidate
}

// before selects the changes of the node of event e before it, without quiet ones.
const before = `FROM events p WHERE p.node_id = e.node_id AND p.partition = e.partition AND p.kind = 'changed'
	AND NOT p.quiet AND (p.epoch, p.seq, p.ordinal) < (e.epoch, e.seq, e.ordinal)`

// owed says whether event e ends a failure that has a delivery in chat $1.
const owed = `EXISTS (SELECT 1 FROM events f JOIN deliveries fd ON fd.chat = $1 AND fd.event_id = f.id
	WHERE ` + failures + `)`

const selectCandidates = `SELECT ` + selectEvent + `,
		CASE WHEN e.kind = 'changed' AND NOT e.quiet THEN
			COALESCE((SELECT p.at ` + before + ` ORDER BY p.epoch DESC, p.seq DESC, p.ordinal DESC LIMIT 1 OFFSET 3), 0) ELSE 0 END,
		COALESCE(fl.since_at, 0), COALESCE(fl.last_at, 0),
		CASE WHEN e.kind = 'changed' AND e.to_state = 'up' AND NOT e.quiet THEN ` + owed + ` ELSE $7 END
	FROM events e LEFT JOIN flaps fl ON fl.chat = $1 AND fl.node_id = e.node_id
	WHERE e.partition = $2 AND (e.epoch, e.seq, e.ordinal) > ($3, $4, $5)
	ORDER BY e.epoch, e.seq, e.ordinal LIMIT $6`

func (c *collection) read(ctx context.Context, tx session, limit int) error {
	return tx.each(ctx, selectCandidates,
		[]any{c.chat, told, c.from.epoch, c.from.seq, c.from.ordinal, limit, false},
		func(scan func(...any) error) (bool, error) {
			var e nodestore.Candidate
			var err error
			e.StoredEvent, err = scanEvent(scan, &e.Fourth, &e.FlapSince, &e.FlapLast, &e.Owed)
			c.to = cursor{e.ID.Epoch, int64(e.ID.Seq), int64(e.ID.Ordinal)}
			c.passed++
			if !e.Quiet {
				c.candidates = append(c.candidates, e)
			}
			return true, err
		})
}

// store writes what was chosen and moves the cursor.
func (c *collection) store(ctx context.Context, tx session, choose nodestore.Chooser) error {
	silences, err := tx.silences(ctx, choose.Quiet) // after the events: none of them may be older than its silence
	if err != nil {
		return err
	}
	choices := choose.Choose(silences, c.candidates)
	if len(choices) != len(c.candidates) {
		return errors.New("there is not one choice for each event")
	}
	if !slices.ContainsFunc(choices, func(o nodestore.Choice) bool { return o != nodestore.Choice{} }) {
		return tx.advance(ctx, c.chat, c.from, c.to)
	}
	chosen := make(map[nodestore.Choice][]any)
	for i, o := range choices {
		if !o.Skip {
			chosen[o] = append(chosen[o], c.candidates[i].ID.String())
		}
	}
	for o, ids := range chosen {
		if err := tx.deliver(ctx, c.chat, o, ids); err != nil {
			return err
		}
	}
	if err := c.storeFlaps(ctx, tx, choices); err != nil {
		return err
	}
	return tx.setCursor(ctx, c.chat, c.to)
}

func (s session) deliver(ctx context.Context, chat string, o nodestore.Choice, events []any) error {
	for ids := range slices.Chunk(events, chunk) {
		args := append([]any{chat, o.Held, o.Mark}, ids...)
		if _, err := s.exec(ctx, `INSERT INTO deliveries (chat, event_id, partition, epoch, seq, ordinal, node_id, held, mark)
			SELECT $1, id, partition, epoch, seq, ordinal, node_id, $2, $3 FROM events
			WHERE id IN (`+placeholders(4, len(ids))+`) ON CONFLICT (chat, event_id) DO NOTHING`, args...); err != nil {
			return err
		}
	}
	return nil
}

// storeFlaps notes which nodes are flapping, and when they changed last.
func (c *collection) storeFlaps(ctx context.Context, tx session, choices []nodestore.Choice) error {
	type flap struct{ since, last node.Stamp }
	flaps := make(map[string]flap)
	for i, o := range choices {
		e := c.candidates[i]
		if o.Held != nodestore.Flapping && o.Mark != nodestore.Flapping {
			continue
		}
		f, known := flaps[e.NodeID]
		switch {
		case o.Mark == nodestore.Flapping:
			f.since = e.At
		case !known:
			f.since = e.FlapSince
		}
		f.last = e.At
		flaps[e.NodeID] = f
	}
	for id, f := range flaps {
		if _, err := tx.exec(ctx, `INSERT INTO flaps (chat, node_id, since_at, last_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (chat, node_id) DO UPDATE SET since_at = excluded.since_at, last_at = excluded.last_at`,
			c.chat, id, int64(f.since), int64(f.last)); err != nil {
			return err
		}
	}
	return nil
}
