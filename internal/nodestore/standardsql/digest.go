package standardsql

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// entry is what alerts of one entry have in common: their node, or their kind of monitor event. That a node is doubled
// says nothing about its state, and is an entry of its own.
const entry = `CASE WHEN e.kind IN ('changed', 'joined') THEN 'n ' || e.node_id
	WHEN e.node_id <> '' THEN e.kind || ' ' || e.node_id
	WHEN e.kind IN ('deaf', 'hearing') THEN 'm deaf' ELSE 'm ' || e.kind END`

// countWaiting counts entries by their last alert. The order lets whoever reads it keep the most frequent alone.
const countWaiting = `SELECT w.kind, w.to_state, w.reason, w.back_up, count(*), sum(w.alerts), min(w.first_at), max(w.at), min(w.found)
	FROM (SELECT x.kind, x.to_state, CASE WHEN x.to_state = 'up' THEN '' ELSE x.reason END AS reason, x.at, x.found, x.first_at, x.alerts,
			CASE WHEN x.kind = 'changed' AND x.to_state = 'up' AND x.alerts > 1 AND x.before = 'up' THEN 1 ELSE 0 END AS back_up
		FROM (SELECT e.kind, e.to_state, e.reason, e.at, row_number() OVER back AS back, count(*) OVER every AS alerts,
				min(e.found) OVER every AS found, min(e.at) OVER every AS first_at, last_value(e.from_state) OVER every AS before
			FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.chat = $1 AND ` + waits + `
			WINDOW back AS (PARTITION BY ` + entry + ` ORDER BY d.epoch DESC, d.seq DESC, d.ordinal DESC),
				every AS (back ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) x
		WHERE x.back = 1) w
	GROUP BY w.kind, w.to_state, w.reason, w.back_up ORDER BY count(*) DESC, w.reason`

// Digest implements nodestore.Deliveries.
func (s Store) Digest(ctx context.Context, l nodestore.ChatLease, reasons, first int) (out nodestore.Digest, err error) {
	err = s.read(ctx, "count waiting alerts", func(tx session) (err error) {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		if err := tx.countWaiting(ctx, l.Chat, reasons, &out); err != nil || out.Alerts == 0 {
			return err
		}
		if err := tx.lastWaiting(ctx, l.Chat, &out.Last); err != nil {
			return err
		}
		if out.Monitor, err = tx.monitorEvents(ctx, l.Chat); err != nil {
			return err
		}
		out.First, err = tx.firstFailures(ctx, l.Chat, first)
		return err
	})
	if err != nil {
		return nodestore.Digest{}, err
	}
	return out, nil
}

func (s session) countWaiting(ctx context.Context, chat string, reasons int, out *nodestore.Digest) error {
	type class struct {
		kind node.Kind
		to   node.State
		back bool
	}
	classes := make(map[class]int) // its place in out.Counts
	var oldest int64
	err := s.each(ctx, countWaiting, []any{chat}, func(scan func(...any) error) (bool, error) {
		var c nodestore.DigestCount
		var back, alerts int
		var from, to node.Stamp
		var found int64
		if err := scan(&c.Kind, &c.To, &c.Reason, &back, &c.Entries, &alerts, &from, &to, &found); err != nil {
			return false, err
		}
		c.Back = back == 1
		if out.Alerts == 0 {
			oldest, out.From, out.To = found, from, to
		}
		oldest, out.From, out.To = min(oldest, found), min(out.From, from), max(out.To, to)
		out.Alerts += alerts
		out.Entries += c.Entries
		if c.Reason != "" && len(out.Reasons) < reasons {
			out.Reasons = append(out.Reasons, c)
		}
		k := class{c.Kind, c.To, c.Back}
		if i, known := classes[k]; known {
			out.Counts[i].Entries += c.Entries
			return true, nil
		}
		c.Reason = ""
		classes[k] = len(out.Counts)
		out.Counts = append(out.Counts, c)
		return true, nil
	})
	out.Oldest = instant(oldest)
	return err
}

func (s session) lastWaiting(ctx context.Context, chat string, last *node.EventID) error {
	var seq int64
	_, err := s.one(ctx, `SELECT d.partition, d.epoch, d.seq, d.ordinal FROM deliveries d WHERE d.chat = $1 AND `+waits+`
		ORDER BY d.partition DESC, d.epoch DESC, d.seq DESC, d.ordinal DESC LIMIT 1`, []any{chat},
		&last.Partition, &last.Epoch, &seq, &last.Ordinal)
	last.Seq = uint64(seq)
	return err
}

// monitorEvents are the last waiting monitor events of each kind.
func (s session) monitorEvents(ctx context.Context, chat string) (out []nodestore.Alert, err error) {
	query := `SELECT ` + selectEvent + ` FROM (SELECT d.event_id, d.epoch, d.seq, d.ordinal,
			row_number() OVER (PARTITION BY ` + entry + ` ORDER BY d.epoch DESC, d.seq DESC, d.ordinal DESC) AS back
		FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.chat = $1 AND ` + waits + ` AND d.node_id = '' AND e.node_id = '') x
		JOIN events e ON e.id = x.event_id WHERE x.back = 1 ORDER BY x.epoch, x.seq, x.ordinal`
	err = s.each(ctx, query, []any{chat}, func(scan func(...any) error) (bool, error) {
		e, err := scanEvent(scan)
		out = append(out, nodestore.Alert{ID: e.ID.String(), StoredEvent: e})
		return true, err
	})
	return out, err
}

// firstFailures are the first waiting alerts that leave their node in failure.
func (s session) firstFailures(ctx context.Context, chat string, limit int) (out []nodestore.Alert, err error) {
	err = s.each(ctx, `SELECT `+selectEvent+` FROM deliveries d JOIN events e ON e.id = d.event_id
		WHERE d.chat = $1 AND `+waits+` AND e.kind IN ('changed', 'joined') AND e.to_state NOT IN ('up', '')
			AND NOT EXISTS (SELECT 1 FROM events y JOIN deliveries yd ON yd.chat = $1 AND yd.event_id = y.id AND yd.notification IS NULL
				AND yd.held = '' AND yd.untold = '' WHERE y.node_id = e.node_id AND y.partition = e.partition
				AND y.kind IN ('changed', 'joined') AND (y.epoch, y.seq, y.ordinal) > (e.epoch, e.seq, e.ordinal))
		ORDER BY d.partition, d.epoch, d.seq, d.ordinal LIMIT $2`, []any{chat, limit},
		func(scan func(...any) error) (bool, error) {
			e, err := scanEvent(scan)
			out = append(out, nodestore.Alert{ID: e.ID.String(), StoredEvent: e})
			return true, err
		})
	return out, err
}

// Burdens implements nodestore.Deliveries.
func (s Store) Burdens(ctx context.Context, l nodestore.ChatLease, within time.Duration) (out []nodestore.Burden, err error) {
	err = s.read(ctx, "look at what was told lately", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		// Each event is looked up by itself: Postgres would rather join all events there are, for each message once more.
		return tx.each(ctx, `SELECT {now} - n.told_at, n.alerts, (SELECT count(*) FROM deliveries d WHERE d.notification = n.id
				AND (SELECT e.kind IN ('changed', 'joined') AND e.to_state NOT IN ('up', '') FROM events e WHERE e.id = d.event_id))
			FROM notifications n WHERE n.chat = $1 AND n.told_at > {now} - $2 AND NOT n.given_up ORDER BY n.told_at`,
			[]any{l.Chat, int64(within)},
			func(scan func(...any) error) (bool, error) {
				var b nodestore.Burden
				err := scan(&b.Ago, &b.Alerts, &b.Failures)
				b.Ago = max(b.Ago, 0)
				out = append(out, b)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
