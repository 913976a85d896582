package standardsql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// EventColumns are the columns of the table events but for found, in the order of EventValues.
const EventColumns = `id, partition, epoch, seq, ordinal, kind, node_id, name, ip, from_state, to_state, reason, evidence,
	at, since, lasted, quiet, nodes, refused, by_whom, meta`

// EventValues are the values of EventColumns.
func EventValues(e *node.Event) ([]any, error) {
	refused, err := EncodeRefused(e.Refused)
	return []any{
		e.ID.String(), e.ID.Partition, e.ID.Epoch, int64(e.ID.Seq), e.ID.Ordinal,
		string(e.Kind), e.NodeID, e.Name, e.IP, string(e.From), string(e.To), e.Reason, e.Evidence,
		int64(e.At), int64(e.Since), int64(e.Lasted), e.Quiet, e.Nodes, refused, e.By, e.Meta,
	}, err
}

// InsertEvent is the statement that stores EventValues, unless the event is stored already. {now} is left in it.
var InsertEvent = `INSERT INTO events (` + EventColumns + `, found) VALUES (` + placeholders(1, 21) + `, {now})
	ON CONFLICT (id) DO NOTHING`

// EncodeRefused is the text of the column refused.
func EncodeRefused(refused map[string]int) (string, error) {
	if len(refused) == 0 {
		return "", nil
	}
	text, err := json.Marshal(refused)
	if err != nil {
		return "", fmt.Errorf("encode refused: %w", err)
	}
	return string(text), nil
}

// selectEvent goes with scanEvent. The table is called e.
const selectEvent = `e.partition, e.epoch, e.seq, e.ordinal, e.kind, e.node_id, e.name, e.ip, e.from_state, e.to_state,
	e.reason, e.evidence, e.at, e.since, e.lasted, e.quiet, e.nodes, e.refused, e.by_whom, e.meta, e.found`

// scanEvent scans selectEvent and then more.
func scanEvent(scan func(...any) error, more ...any) (e nodestore.StoredEvent, err error) {
	var seq, found int64
	var refused string
	err = scan(append([]any{
		&e.ID.Partition, &e.ID.Epoch, &seq, &e.ID.Ordinal, &e.Kind, &e.NodeID, &e.Name, &e.IP, &e.From, &e.To,
		&e.Reason, &e.Evidence, &e.At, &e.Since, &e.Lasted, &e.Quiet, &e.Nodes, &refused, &e.By, &e.Meta, &found,
	}, more...)...)
	if err != nil {
		return e, err
	}
	e.ID.Seq = uint64(seq)
	e.Found = time.Unix(0, found).UTC()
	if refused != "" {
		if err := json.Unmarshal([]byte(refused), &e.Refused); err != nil {
			return e, fmt.Errorf("decode refused of event %v: %w", e.ID, err)
		}
	}
	return e, nil
}

// Record implements nodestore.Writer.
func (s Store) Record(ctx context.Context, l nodestore.Lease, e node.Event) (added bool, err error) {
	e = CleanEvent(e)
	values, err := EventValues(&e)
	if err != nil {
		return false, err
	}
	err = s.write(ctx, "record event "+e.ID.String(), func(tx session) error {
		if err := partitionLease(l).hold(ctx, tx); err != nil {
			return err
		}
		n, err := tx.exec(ctx, InsertEvent, values...)
		added = n > 0
		return err
	})
	return added && err == nil, err
}

// Events implements nodestore.Reader.
func (s Store) Events(ctx context.Context, nodeID string, limit int) (out []nodestore.StoredEvent, err error) {
	query, args := `SELECT `+selectEvent+` FROM events e`, []any{limit}
	if nodeID != "" {
		query += ` WHERE e.node_id = $2`
		args = append(args, nodeID)
	}
	query += ` ORDER BY e.partition DESC, e.epoch DESC, e.seq DESC, e.ordinal DESC LIMIT $1`
	err = s.read(ctx, "read events", func(tx session) error {
		return tx.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
			e, err := scanEvent(scan)
			out = append(out, e)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// chunk is how many values stand in one IN list.
const chunk = 500

// Prune implements nodestore.Writer. A notification goes with the last of its events.
func (s Store) Prune(ctx context.Context, l nodestore.Lease, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "prune events", func(tx session) error {
		if err := partitionLease(l).hold(ctx, tx); err != nil {
			return err
		}
		old, err := column[string](ctx, tx, `SELECT o.id FROM
			(SELECT id, found FROM events WHERE partition = $1 ORDER BY epoch, seq, ordinal LIMIT $2) o
			WHERE o.found < {now} - $3`, l.Partition, limit, int64(age))
		if err != nil {
			return err
		}
		for ids := range slices.Chunk(old, chunk) {
			if err := forget(ctx, tx, ids); err != nil {
				return err
			}
		}
		n = len(old)
		return forgetRest(ctx, tx, age)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// forget deletes events, their deliveries by cascade, and the notifications that told nothing else.
func forget(ctx context.Context, tx session, events []any) error {
	in := placeholders(1, len(events))
	told, err := column[int64](ctx, tx, `SELECT DISTINCT notification FROM deliveries
		WHERE notification IS NOT NULL AND event_id IN (`+in+`)`, events...)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM events WHERE id IN (`+in+`)`, events...); err != nil {
		return err
	}
	for ids := range slices.Chunk(told, chunk) {
		if _, err := tx.exec(ctx, `DELETE FROM notifications WHERE id IN (`+placeholders(1, len(ids))+`)
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.notification = notifications.id)`, ids...); err != nil {
			return err
		}
	}
	return nil
}

// forgetRest deletes what is as old and hangs on no event: notifications that told no alerts, and what people said. What
// is about an incident that lasts is kept.
func forgetRest(ctx context.Context, tx session, age time.Duration) error {
	for _, query := range []string{
		`DELETE FROM notifications WHERE told_at < {now} - $1
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.notification = notifications.id)
			AND NOT EXISTS (SELECT 1 FROM reminders r JOIN nodes n ON n.id = r.node_id AND n.incident = r.incident
				WHERE r.notification = notifications.id)`,
		`DELETE FROM silences WHERE until_at < {now} - $1`,
		`DELETE FROM acknowledgements WHERE at < {now} - $1 AND NOT EXISTS (SELECT 1 FROM nodes n
			WHERE n.id = acknowledgements.node_id AND n.incident = acknowledgements.incident)`,
	} {
		if _, err := tx.exec(ctx, query, int64(age)); err != nil {
			return err
		}
	}
	return nil
}

// column reads the only column of a query, as arguments of the next one.
func column[T any](ctx context.Context, tx session, query string, args ...any) (out []any, err error) {
	err = tx.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
		var v T
		err := scan(&v)
		out = append(out, v)
		return true, err
	})
	return out, err
}
