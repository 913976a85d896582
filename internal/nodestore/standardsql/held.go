package standardsql

import (
	"context"
	"maps"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Held implements nodestore.Deliveries.
func (s Store) Held(ctx context.Context, l nodestore.ChatLease, held, after string, last, since node.Stamp, limit int) (out []nodestore.Held, err error) {
	err = s.read(ctx, "look at held alerts", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		due, err := tx.due(ctx, l.Chat, held, after, last, since, limit)
		if err != nil || len(due) == 0 {
			return err
		}
		if err := tx.heldOf(ctx, l.Chat, held, due); err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(due)) {
			out = append(out, *due[id])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// due are the nodes to be looked at.
func (s session) due(ctx context.Context, chat, held, after string, last, since node.Stamp, limit int) (map[string]*nodestore.Held, error) {
	query, args := `SELECT DISTINCT d.node_id, 0, 0 FROM deliveries d
		WHERE d.chat = $1 AND d.held = $2 AND d.held <> '' AND d.node_id > $3 ORDER BY d.node_id LIMIT $4`, []any{chat, held, after, limit}
	if held == nodestore.Flapping {
		query = `SELECT node_id, since_at, last_at FROM flaps
			WHERE chat = $1 AND node_id > $2 AND (last_at <= $3 OR since_at <= $4) ORDER BY node_id LIMIT $5`
		args = []any{chat, after, int64(last), int64(since), limit}
	}
	out := make(map[string]*nodestore.Held)
	err := s.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
		var h nodestore.Held
		err := scan(&h.NodeID, &h.FlapSince, &h.FlapLast)
		out[h.NodeID] = &h
		return true, err
	})
	return out, err
}

// heldOf reads the last held alert of each node, and how many there are.
func (s session) heldOf(ctx context.Context, chat, held string, nodes map[string]*nodestore.Held) error {
	query := `SELECT ` + selectEvent + `, g.alerts, o.at, COALESCE((` + selectKnown("o") + `), ''), COALESCE(nd.incident, 0)
		FROM (SELECT d.event_id, d.node_id, count(*) OVER (PARTITION BY d.node_id) AS alerts,
				row_number() OVER (PARTITION BY d.node_id ORDER BY d.epoch DESC, d.seq DESC, d.ordinal DESC) AS back,
				first_value(d.event_id) OVER (PARTITION BY d.node_id ORDER BY d.epoch, d.seq, d.ordinal) AS first_id
			FROM deliveries d WHERE d.chat = $1 AND d.held = $2 AND d.held <> '' AND d.node_id IN (` + placeholders(3, len(nodes)) + `)) g
		JOIN events e ON e.id = g.event_id JOIN events o ON o.id = g.first_id LEFT JOIN nodes nd ON nd.id = g.node_id
		WHERE g.back = 1`
	args := []any{chat, held}
	for id := range nodes {
		args = append(args, id)
	}
	return s.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
		var h nodestore.Held
		var known string
		e, err := scanEvent(scan, &h.Alerts, &h.First, &known, &h.Incident)
		if err != nil {
			return false, err
		}
		h.ID, h.StoredEvent = e.ID.String(), e
		h.Known, h.ReplyTo, _ = parseKnown(known)
		h.FlapSince, h.FlapLast = nodes[h.NodeID].FlapSince, nodes[h.NodeID].FlapLast
		nodes[h.NodeID] = &h
		return true, nil
	})
}

// Hold implements nodestore.Deliveries.
func (s Store) Hold(ctx context.Context, l nodestore.ChatLease, held string, covered func(nodeID, meta string) bool) error {
	return s.write(ctx, "hold waiting alerts", func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		var hold []any
		if err := tx.each(ctx, `SELECT d.event_id, e.node_id, e.meta FROM deliveries d JOIN events e ON e.id = d.event_id
			WHERE d.chat = $1 AND `+waits+` AND e.node_id <> ''`, []any{l.Chat}, func(scan func(...any) error) (bool, error) {
			var event, id, meta string
			err := scan(&event, &id, &meta)
			if err == nil && covered(id, meta) {
				hold = append(hold, event)
			}
			return true, err
		}); err != nil {
			return err
		}
		for ids := range slices.Chunk(hold, chunk) {
			if _, err := tx.exec(ctx, `UPDATE deliveries SET held = $2 WHERE chat = $1 AND event_id IN (`+placeholders(3, len(ids))+`)`,
				append([]any{l.Chat, held}, ids...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Free implements nodestore.Deliveries.
func (s Store) Free(ctx context.Context, l nodestore.ChatLease, rs []nodestore.Release) error {
	return s.write(ctx, "free held alerts", func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		for _, r := range rs {
			if err := tx.free(ctx, l.Chat, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s session) free(ctx context.Context, chat string, r nodestore.Release) error {
	if _, err := s.exec(ctx, `UPDATE deliveries SET held = $4, untold = $5, mark = $6
		WHERE chat = $1 AND held = $2 AND held <> '' AND node_id = $3`, chat, r.Held, r.NodeID, r.Hold, r.Untold, r.Mark); err != nil {
		return err
	}
	var err error
	switch {
	case r.EndFlap:
		_, err = s.exec(ctx, `DELETE FROM flaps WHERE chat = $1 AND node_id = $2`, chat, r.NodeID)
	case r.FlapSince != 0:
		_, err = s.exec(ctx, `UPDATE flaps SET since_at = $3 WHERE chat = $1 AND node_id = $2`, chat, r.NodeID, int64(r.FlapSince))
	}
	return err
}
