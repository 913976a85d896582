package standardsql

import (
	"context"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Silences implements nodestore.Quieting and nodestore.Deliveries.
func (s Store) Silences(ctx context.Context, now time.Time) (out []nodestore.Silence, err error) {
	err = s.read(ctx, "read silences", func(tx session) error {
		out, err = tx.silences(ctx, now)
		return err
	})
	return out, err
}

func (s session) silences(ctx context.Context, now time.Time) (out []nodestore.Silence, err error) {
	err = s.each(ctx, `SELECT id, scope, value, by_whom, note, from_at, until_at, ended_at FROM silences
		WHERE until_at > $1 AND (ended_at = 0 OR ended_at > $1) ORDER BY id`, []any{now.UnixNano()},
		func(scan func(...any) error) (bool, error) {
			var x nodestore.Silence
			var from, until, ended int64
			err := scan(&x.ID, &x.Scope, &x.Value, &x.By, &x.Note, &from, &until, &ended)
			x.From, x.Until, x.Ended = instant(from), instant(until), instant(ended)
			out = append(out, x)
			return true, err
		})
	return out, err
}

// AddSilence implements nodestore.Quieting.
func (s Store) AddSilence(ctx context.Context, x nodestore.Silence) (nodestore.Silence, error) {
	x.Scope, x.Value, x.By, x.Note = Clean(x.Scope), Clean(x.Value), Clean(x.By), Clean(x.Note)
	x.From, x.Until, x.Ended = x.From.UTC().Round(0), x.Until.UTC().Round(0), time.Time{}
	err := s.write(ctx, "add a silence", func(tx session) error {
		_, err := tx.one(ctx, `INSERT INTO silences (scope, value, from_at, until_at, by_whom, note, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, {now}) RETURNING id`,
			[]any{x.Scope, x.Value, x.From.UnixNano(), x.Until.UnixNano(), x.By, x.Note}, &x.ID)
		return err
	})
	if err != nil {
		return nodestore.Silence{}, err
	}
	return x, nil
}

// EndSilence implements nodestore.Quieting.
func (s Store) EndSilence(ctx context.Context, id int64, by string) error {
	return s.write(ctx, fmt.Sprintf("end silence %d", id), func(tx session) error {
		n, err := tx.exec(ctx, `UPDATE silences SET ended_at = {now}, ended_by = $2 WHERE id = $1 AND ended_at = 0`, id, by)
		if err == nil && n == 0 {
			err = nodestore.ErrNotFound
		}
		return err
	})
}

// Acknowledge implements nodestore.Quieting.
func (s Store) Acknowledge(ctx context.Context, nodeID string, incident node.Stamp, by string) (nodestore.Acknowledgement, error) {
	a := nodestore.Acknowledgement{NodeID: Clean(nodeID), Incident: incident}
	err := s.write(ctx, "acknowledge an incident", func(tx session) error {
		if _, err := tx.exec(ctx, `INSERT INTO acknowledgements (node_id, incident, by_whom, at) VALUES ($1, $2, $3, {now})
			ON CONFLICT (node_id, incident) DO NOTHING`, nodeID, int64(incident), by); err != nil {
			return err
		}
		var at int64
		_, err := tx.one(ctx, `SELECT by_whom, at FROM acknowledgements WHERE node_id = $1 AND incident = $2`,
			[]any{nodeID, int64(incident)}, &a.By, &at)
		a.At = instant(at)
		return err
	})
	if err != nil {
		return nodestore.Acknowledgement{}, err
	}
	return a, nil
}

// Acknowledgements implements nodestore.Quieting.
func (s Store) Acknowledgements(ctx context.Context, nodeIDs []string) (map[string]nodestore.Acknowledgement, error) {
	out := make(map[string]nodestore.Acknowledgement)
	err := s.read(ctx, "read acknowledgements", func(tx session) error {
		return tx.eachOf(ctx, nodeIDs, func(in string) string {
			return `SELECT a.node_id, a.incident, a.by_whom, a.at FROM acknowledgements a
				JOIN nodes n ON n.id = a.node_id AND n.incident = a.incident WHERE a.node_id IN (` + in + `)`
		}, func(scan func(...any) error) error {
			var a nodestore.Acknowledgement
			var at int64
			err := scan(&a.NodeID, &a.Incident, &a.By, &at)
			a.At = instant(at)
			out[a.NodeID] = a
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Notification implements nodestore.Quieting.
func (s Store) Notification(ctx context.Context, id int64) (n nodestore.Notification, err error) {
	err = s.read(ctx, fmt.Sprintf("read notification %d", id), func(tx session) error {
		ok, err := tx.one(ctx, `SELECT `+notificationColumns+` FROM notifications WHERE id = $1`, []any{id}, notificationFields(&n)...)
		if err == nil && !ok {
			err = nodestore.ErrNotFound
		}
		return err
	})
	return n, err
}
