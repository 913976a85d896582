package standardsql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// errNotFrozen answers Told and Failed about a notification that does not wait to be told.
var errNotFrozen = errors.New("it is not the chat's frozen notification")

const notificationColumns = `id, chat, html, reply_to, attempts, alerts, node_id, incident`

func notificationFields(n *nodestore.Notification) []any {
	return []any{&n.ID, &n.Chat, &n.Text, &n.ReplyTo, &n.Attempts, &n.Alerts, &n.NodeID, &n.Incident}
}

// Frozen implements nodestore.Deliveries.
func (s Store) Frozen(ctx context.Context, l nodestore.ChatLease) (out *nodestore.Notification, err error) {
	err = s.read(ctx, "read the frozen notification", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		var n nodestore.Notification
		ok, err := tx.one(ctx, `SELECT `+notificationColumns+` FROM notifications WHERE chat = $1 AND told_at IS NULL`,
			[]any{l.Chat}, notificationFields(&n)...)
		if ok {
			n.Chat = l.Chat
			out = &n
		}
		return err
	})
	return out, err
}

// failures selects the failures f of the node of event e that were not over before e: the node was not up, deleted or
// created again since.
const failures = `f.node_id = e.node_id AND f.partition = e.partition AND f.kind IN ('changed', 'joined')
	AND f.to_state NOT IN ('up', '') AND (f.epoch, f.seq, f.ordinal) < (e.epoch, e.seq, e.ordinal)
	AND NOT EXISTS (SELECT 1 FROM events b WHERE b.node_id = e.node_id AND b.partition = e.partition
		AND b.to_state IN ('up', '') AND (b.epoch, b.seq, b.ordinal) > (f.epoch, f.seq, f.ordinal)
		AND (b.epoch, b.seq, b.ordinal) < (e.epoch, e.seq, e.ordinal))`

// failuresOf selects the failures f of the node e that are not over.
const failuresOf = `f.node_id = e.id AND f.partition = e.partition AND f.kind IN ('changed', 'joined')
	AND f.to_state NOT IN ('up', '')
	AND NOT EXISTS (SELECT 1 FROM events b WHERE b.node_id = e.id AND b.partition = e.partition
		AND b.to_state IN ('up', '') AND (b.epoch, b.seq, b.ordinal) > (f.epoch, f.seq, f.ordinal))`

// selectKnown finds the latest failure that the chat $1 was told and that was not over before the event of the given
// alias: its state, the message that told it, and when. For "" it is the one of the node e that is not over now.
func selectKnown(event string) string {
	which := failuresOf
	if event != "" {
		which = strings.ReplaceAll(failures, " e.", " "+event+".")
		which = strings.ReplaceAll(which, "(e.", "("+event+".")
	}
	return `SELECT f.to_state || ' ' || COALESCE(kn.message_id, 0) || ' ' || kn.told_at FROM events f
		JOIN deliveries fd ON fd.chat = $1 AND fd.event_id = f.id
		JOIN notifications kn ON kn.id = fd.notification AND kn.told_at IS NOT NULL AND NOT kn.given_up
		WHERE ` + which + ` ORDER BY f.epoch DESC, f.seq DESC, f.ordinal DESC LIMIT 1`
}

// parseKnown reads what selectKnown found, "" for nothing.
func parseKnown(s string) (to node.State, message int64, at time.Time) {
	var told int64
	if _, err := fmt.Sscan(s, &to, &message, &told); err != nil {
		return "", 0, time.Time{}
	}
	return to, message, instant(told)
}

// Waiting implements nodestore.Deliveries.
func (s Store) Waiting(ctx context.Context, l nodestore.ChatLease, limit int) (out []nodestore.Alert, err error) {
	query := `SELECT ` + selectEvent + `, d.mark, COALESCE(nd.incident, 0),
		CASE WHEN e.kind = 'changed' THEN COALESCE((` + selectKnown("e") + `), '') ELSE '' END
		FROM deliveries d JOIN events e ON e.id = d.event_id LEFT JOIN nodes nd ON nd.id = e.node_id
		WHERE d.chat = $1 AND ` + waits + `
		ORDER BY d.partition, d.epoch, d.seq, d.ordinal LIMIT $2`
	err = s.read(ctx, "read waiting alerts", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		return tx.each(ctx, query, []any{l.Chat, limit}, func(scan func(...any) error) (bool, error) {
			var a nodestore.Alert
			var known string
			e, err := scanEvent(scan, &a.Mark, &a.Incident, &known)
			a.ID, a.StoredEvent = e.ID.String(), e
			a.Known, a.ReplyTo, _ = parseKnown(known)
			out = append(out, a)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Freeze implements nodestore.Deliveries.
func (s Store) Freeze(ctx context.Context, l nodestore.ChatLease, d nodestore.Draft) (nodestore.Notification, error) {
	n := nodestore.Notification{
		Chat: l.Chat, Text: Clean(d.Text), ReplyTo: d.ReplyTo, Alerts: d.Alerts,
		NodeID: Clean(d.NodeID), Incident: d.Incident,
	}
	err := s.write(ctx, "freeze a notification", func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		var other int64
		frozen, err := tx.one(ctx, `SELECT id FROM notifications WHERE chat = $1 AND told_at IS NULL`, []any{l.Chat}, &other)
		if err != nil {
			return err
		}
		if frozen {
			return fmt.Errorf("notification %d is frozen already", other)
		}
		if _, err := tx.one(ctx, `INSERT INTO notifications (chat, html, reply_to, frozen_at, alerts, node_id, incident)
			VALUES ($1, $2, $3, {now}, $4, $5, $6) RETURNING id`,
			[]any{l.Chat, d.Text, d.ReplyTo, d.Alerts, d.NodeID, int64(d.Incident)}, &n.ID); err != nil {
			return err
		}
		return tx.bind(ctx, n, d)
	})
	if err != nil {
		return nodestore.Notification{}, err
	}
	return n, nil
}

// bind puts into the notification what it tells: all of it, or it is an error.
func (s session) bind(ctx context.Context, n nodestore.Notification, d nodestore.Draft) error {
	if d.Alerts > 0 {
		last := d.Last
		bound, err := s.exec(ctx, `UPDATE deliveries AS d SET notification = $2 WHERE d.chat = $1 AND `+waits+`
			AND d.partition = $3 AND (d.epoch, d.seq, d.ordinal) <= ($4, $5, $6)`,
			n.Chat, n.ID, last.Partition, last.Epoch, int64(last.Seq), last.Ordinal)
		if err != nil {
			return err
		}
		if bound != int64(d.Alerts) {
			return fmt.Errorf("%d alerts wait to be told, not %d", bound, d.Alerts)
		}
	}
	for rs := range slices.Chunk(d.Reminders, chunk) {
		if err := s.bindReminders(ctx, n, rs); err != nil {
			return err
		}
	}
	if d.Summary != "" {
		_, err := s.exec(ctx, `INSERT INTO summaries (chat, day, notification) VALUES ($1, $2, $3)`, n.Chat, d.Summary, n.ID)
		return err
	}
	return nil
}

func (s session) bindReminders(ctx context.Context, n nodestore.Notification, rs []nodestore.Reminder) error {
	var rows strings.Builder
	args := []any{n.Chat, n.ID}
	for i, r := range rs {
		if i > 0 {
			rows.WriteByte(',')
		}
		fmt.Fprintf(&rows, "($1, $%d, $%d, $%d, $2)", 3*i+3, 3*i+4, 3*i+5)
		args = append(args, r.NodeID, int64(r.Incident), r.Nth)
	}
	_, err := s.exec(ctx, `INSERT INTO reminders (chat, node_id, incident, nth, notification) VALUES `+rows.String(), args...)
	return err
}

// Told implements nodestore.Deliveries. Repeated with the same message it changes nothing.
func (s Store) Told(ctx context.Context, l nodestore.ChatLease, notification, messageID int64) error {
	return s.write(ctx, fmt.Sprintf("note that notification %d was told", notification), func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `UPDATE notifications SET told_at = COALESCE(told_at, {now}), message_id = $3, last_error = ''
			WHERE id = $1 AND chat = $2 AND (told_at IS NULL OR message_id = $3)`, notification, l.Chat, messageID)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNotFrozen
		}
		_, err = tx.exec(ctx, `UPDATE chats SET last_told =
			(SELECT told_at FROM notifications WHERE id = $2) WHERE chat = $1`, l.Chat, notification)
		return err
	})
}

// Failed implements nodestore.Deliveries.
func (s Store) Failed(ctx context.Context, l nodestore.ChatLease, notification int64, reason string) error {
	return s.write(ctx, fmt.Sprintf("note that notification %d failed", notification), func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `UPDATE notifications SET attempts = attempts + 1, last_error = $3
			WHERE id = $1 AND chat = $2 AND told_at IS NULL`, notification, l.Chat, reason)
		if err == nil && n == 0 {
			err = errNotFrozen
		}
		return err
	})
}

// Thaw implements nodestore.Deliveries.
func (s Store) Thaw(ctx context.Context, l nodestore.ChatLease, notification int64) error {
	return s.write(ctx, fmt.Sprintf("thaw notification %d", notification), func(tx session) error {
		if err := chatLease(l).hold(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE deliveries SET notification = NULL WHERE notification =
			(SELECT id FROM notifications WHERE id = $1 AND chat = $2 AND told_at IS NULL)`, notification, l.Chat); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `DELETE FROM notifications WHERE id = $1 AND chat = $2 AND told_at IS NULL`, notification, l.Chat)
		if err == nil && n == 0 {
			err = errNotFrozen
		}
		return err
	})
}
