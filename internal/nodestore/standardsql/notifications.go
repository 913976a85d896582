package standardsql

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// errNotFrozen answers Told and Failed about a notification that does not wait to be told.
var errNotFrozen = errors.New("it is not the chat's frozen notification")

// Frozen implements nodestore.Deliveries.
func (s Store) Frozen(ctx context.Context, l nodestore.ChatLease) (out *nodestore.Notification, err error) {
	err = s.read(ctx, "read the frozen notification", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		n := nodestore.Notification{Chat: l.Chat}
		ok, err := tx.one(ctx, `SELECT id, html, reply_to, attempts FROM notifications WHERE chat = $1 AND told_at IS NULL`,
			[]any{l.Chat}, &n.ID, &n.Text, &n.ReplyTo, &n.Attempts)
		if ok {
			out = &n
		}
		return err
	})
	return out, err
}

// selectReply finds the message that told the failure which the event e ends: the latest failure of its node that
// was told to the chat $1, unless the node was up, deleted or created again since.
const selectReply = `SELECT n.message_id FROM events f
	JOIN deliveries fd ON fd.chat = $1 AND fd.event_id = f.id
	JOIN notifications n ON n.id = fd.notification AND n.told_at IS NOT NULL
	WHERE f.node_id = e.node_id AND f.partition = e.partition AND f.kind IN ('changed', 'joined')
		AND f.to_state NOT IN ('up', '') AND (f.epoch, f.seq, f.ordinal) < (e.epoch, e.seq, e.ordinal)
		AND NOT EXISTS (SELECT 1 FROM events b WHERE b.node_id = e.node_id AND b.partition = e.partition
			AND b.to_state IN ('up', '') AND (b.epoch, b.seq, b.ordinal) > (f.epoch, f.seq, f.ordinal)
			AND (b.epoch, b.seq, b.ordinal) < (e.epoch, e.seq, e.ordinal))
	ORDER BY f.epoch DESC, f.seq DESC, f.ordinal DESC LIMIT 1`

// Waiting implements nodestore.Deliveries.
func (s Store) Waiting(ctx context.Context, l nodestore.ChatLease, limit int) (out []nodestore.Alert, err error) {
	query := `SELECT ` + selectEvent + `,
		CASE WHEN e.kind = 'changed' AND e.to_state = 'up' THEN COALESCE((` + selectReply + `), 0) ELSE 0 END
		FROM deliveries d JOIN events e ON e.id = d.event_id
		WHERE d.chat = $1 AND d.notification IS NULL
		ORDER BY d.partition, d.epoch, d.seq, d.ordinal LIMIT $2`
	err = s.read(ctx, "read waiting alerts", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		return tx.each(ctx, query, []any{l.Chat, limit}, func(scan func(...any) error) (bool, error) {
			var a nodestore.Alert
			e, err := scanEvent(scan, &a.ReplyTo)
			a.ID, a.StoredEvent = e.ID.String(), e
			out = append(out, a)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Freeze implements nodestore.Deliveries. It is an error when another notification is frozen, or when an alert does
// not wait.
func (s Store) Freeze(ctx context.Context, l nodestore.ChatLease, text string, replyTo int64, alerts []string) (nodestore.Notification, error) {
	n := nodestore.Notification{Chat: l.Chat, Text: Clean(text), ReplyTo: replyTo}
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
		if _, err := tx.one(ctx, `INSERT INTO notifications (chat, html, reply_to, frozen_at) VALUES ($1, $2, $3, {now})
			RETURNING id`, []any{l.Chat, text, replyTo}, &n.ID); err != nil {
			return err
		}
		return tx.bind(ctx, n, alerts)
	})
	if err != nil {
		return nodestore.Notification{}, err
	}
	return n, nil
}

// bind puts waiting alerts into the notification: all of them, or it is an error.
func (s session) bind(ctx context.Context, n nodestore.Notification, alerts []string) error {
	bound := int64(0)
	for ids := range slices.Chunk(alerts, chunk) {
		args := []any{n.Chat, n.ID}
		for _, id := range ids {
			args = append(args, id)
		}
		rows, err := s.exec(ctx, `UPDATE deliveries SET notification = $2
			WHERE chat = $1 AND notification IS NULL AND event_id IN (`+placeholders(3, len(ids))+`)`, args...)
		if err != nil {
			return err
		}
		bound += rows
	}
	if bound != int64(len(alerts)) {
		return fmt.Errorf("%d of %d alerts wait to be told", bound, len(alerts))
	}
	return nil
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
