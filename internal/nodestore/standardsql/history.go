package standardsql

import (
	"context"
	"fmt"
	"slices"
	"strings"

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

// transitions reads from the last event before since on, in the order of the stream: stamps may step back. Both queries
// read the index events_of_node alone.
func (s session) transitions(ctx context.Context, ids []any, since node.Stamp, out map[string][]node.Event) error {
	bounds, err := s.lastBefore(ctx, ids, since)
	if err != nil {
		return err
	}
	return s.each(ctx, `SELECT e.node_id, e.partition, e.epoch, e.seq, e.ordinal, e.kind, e.from_state, e.to_state, e.at
		FROM (VALUES `+boundRows(len(ids))+`) v JOIN events e ON e.node_id = v.column1
			AND (e.partition, e.epoch, e.seq, e.ordinal) >= (v.column2, v.column3, v.column4, v.column5)
		WHERE e.kind IN `+changing+` ORDER BY e.node_id, e.partition, e.epoch, e.seq, e.ordinal`, bounds,
		func(scan func(...any) error) (bool, error) {
			var e node.Event
			var seq int64
			err := scan(&e.NodeID, &e.ID.Partition, &e.ID.Epoch, &seq, &e.ID.Ordinal, &e.Kind, &e.From, &e.To, &e.At)
			e.ID.Seq = uint64(seq)
			out[e.NodeID] = append(out[e.NodeID], e)
			return true, err
		})
}

// lastBefore returns, for each id, the id and the place in the stream of the node's last event before since, or a place
// before all.
func (s session) lastBefore(ctx context.Context, ids []any, since node.Stamp) (bounds []any, err error) {
	err = s.each(ctx, `SELECT v.column1, COALESCE((SELECT p.epoch || ':' || p.partition || ':' || p.seq || ':' || p.ordinal
			FROM events p WHERE p.node_id = v.column1 AND p.kind IN `+changing+` AND p.at < $1
			ORDER BY p.partition DESC, p.epoch DESC, p.seq DESC, p.ordinal DESC LIMIT 1), '')
		FROM (VALUES `+rows(2, len(ids))+`) v`, append([]any{int64(since)}, ids...),
		func(scan func(...any) error) (bool, error) {
			var id, place string
			if err := scan(&id, &place); err != nil {
				return false, err
			}
			at := node.EventID{Partition: -1}
			if place != "" {
				if at, err = node.ParseEventID(place); err != nil {
					return false, err
				}
			}
			bounds = append(bounds, id, at.Partition, at.Epoch, int64(at.Seq), at.Ordinal)
			return true, nil
		})
	return bounds, err
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
			WHERE e.node_id = '' AND (e.kind IN ('blind', 'hearing') AND (e.at > $1 OR e.since > e.at) OR e.kind = 'deaf' AND NOT EXISTS (
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
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "($%d)", first+i)
	}
	return b.String()
}

// boundRows are n rows of an id and a place in the stream. The first has the types.
func boundRows(n int) string {
	var b strings.Builder
	for i := range n {
		at := 5 * i
		if i == 0 {
			b.WriteString("($1, CAST($2 AS bigint), CAST($3 AS bigint), CAST($4 AS bigint), CAST($5 AS bigint))")
			continue
		}
		fmt.Fprintf(&b, ",($%d, $%d, $%d, $%d, $%d)", at+1, at+2, at+3, at+4, at+5)
	}
	return b.String()
}
