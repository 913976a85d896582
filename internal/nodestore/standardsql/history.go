package standardsql

import (
	"context"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// changing are the kinds of events that make a node something else.
const changing = `('joined', 'changed', 'deleted')`

// Transitions implements nodestore.History.
func (s Store) Transitions(ctx context.Context, nodeIDs []string, since node.Stamp) (map[string][]node.Event, error) {
	out := make(map[string][]node.Event, len(nodeIDs))
	err := s.read(ctx, "read transitions", func(tx session) error {
		for ids := range slices.Chunk(nodeIDs, chunk) {
			if err := tx.transitions(ctx, texts(ids), since, out); err != nil {
				return err
			}
			if err := tx.withoutEvents(ctx, ids, out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// transitions reads from the last event before since on, in the order of the stream: stamps may step back.
func (s session) transitions(ctx context.Context, ids []any, since node.Stamp, out map[string][]node.Event) error {
	query := `WITH wanted AS (SELECT v.column1 AS id, (SELECT p.id FROM events p
			WHERE p.node_id = v.column1 AND p.kind IN ` + changing + ` AND p.at < $1
			ORDER BY p.partition DESC, p.epoch DESC, p.seq DESC, p.ordinal DESC LIMIT 1) AS before
			FROM (VALUES ` + rows(2, len(ids)) + `) v)
		SELECT e.node_id, e.partition, e.epoch, e.seq, e.ordinal, e.kind, e.from_state, e.to_state, e.at
		FROM wanted w LEFT JOIN events b ON b.id = w.before JOIN events e ON e.node_id = w.id
			AND (e.partition, e.epoch, e.seq, e.ordinal) >=
				(COALESCE(b.partition, -1), COALESCE(b.epoch, -1), COALESCE(b.seq, -1), COALESCE(b.ordinal, -1))
		WHERE e.kind IN ` + changing + ` ORDER BY e.node_id, e.partition, e.epoch, e.seq, e.ordinal`
	return s.each(ctx, query, append([]any{int64(since)}, ids...), func(scan func(...any) error) (bool, error) {
		var e node.Event
		var seq int64
		err := scan(&e.NodeID, &e.ID.Partition, &e.ID.Epoch, &seq, &e.ID.Ordinal, &e.Kind, &e.From, &e.To, &e.At)
		e.ID.Seq = uint64(seq)
		out[e.NodeID] = append(out[e.NodeID], e)
		return true, err
	})
}

// withoutEvents stands in for the events of nodes that did not change for as long as events are kept.
func (s session) withoutEvents(ctx context.Context, ids []string, out map[string][]node.Event) error {
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return len(out[Clean(id)]) > 0 })
	if len(missing) == 0 {
		return nil
	}
	return s.each(ctx, `SELECT id, state, joined FROM nodes WHERE id IN (`+placeholders(1, len(missing))+`)`, texts(missing),
		func(scan func(...any) error) (bool, error) {
			e := node.Event{Kind: node.Joined}
			err := scan(&e.NodeID, &e.To, &e.At)
			out[e.NodeID] = []node.Event{e}
			return true, err
		})
}

// BlindSpans implements nodestore.History. Events of the monitor are those of the node "".
func (s Store) BlindSpans(ctx context.Context, since node.Stamp) (out []node.Span, err error) {
	err = s.read(ctx, "read blind spans", func(tx session) error {
		return tx.each(ctx, `SELECT e.partition, e.epoch, e.seq, e.ordinal, e.kind, e.since, e.at FROM events e
			WHERE e.node_id = '' AND (e.kind IN ('blind', 'hearing') AND e.at > $1 OR e.kind = 'deaf' AND NOT EXISTS (
				SELECT 1 FROM events h WHERE h.node_id = '' AND h.kind = 'hearing' AND h.partition = e.partition
				AND (h.epoch, h.seq, h.ordinal) > (e.epoch, e.seq, e.ordinal)))
			ORDER BY e.partition, e.epoch, e.seq, e.ordinal`, []any{int64(since)},
			func(scan func(...any) error) (bool, error) {
				var sp node.Span
				var seq int64
				var kind node.Kind
				err := scan(&sp.ID.Partition, &sp.ID.Epoch, &seq, &sp.ID.Ordinal, &kind, &sp.From, &sp.To)
				sp.ID.Seq, sp.Deaf = uint64(seq), kind != node.Blind
				if kind == node.Deaf {
					sp.To = 0
				}
				out = append(out, sp)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// texts are strings as arguments.
func texts(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// rows is "($first),($first+1),…", n of them.
func rows(first, n int) string {
	out := make([]byte, 0, 8*n)
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '('), placeholders(first+i, 1)...), ')')
	}
	return string(out)
}
