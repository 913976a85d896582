package standardsql

import (
	"context"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// EachFailing implements nodestore.Deliveries.
func (s Store) EachFailing(ctx context.Context, l nodestore.ChatLease, began node.Stamp, visit func(nodestore.Failing) error) error {
	return s.read(ctx, "look for nodes that are still down", func(tx session) error {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		return tx.each(ctx, `SELECT e.id, e.name, e.meta, e.ip, e.state, e.reason, e.since, e.incident,
				COALESCE((SELECT max(r.nth) FROM reminders r
					WHERE r.chat = $1 AND r.node_id = e.id AND r.incident = e.incident), 0),
				COALESCE((`+selectKnown("")+`), '')
			FROM nodes e WHERE e.partition = $2 AND e.state IN ('down', 'lost') AND e.told IN ('down', 'lost')
				AND e.incident <> 0 AND e.incident <= $3
				AND NOT EXISTS (SELECT 1 FROM acknowledgements a WHERE a.node_id = e.id AND a.incident = e.incident)
				AND NOT EXISTS (SELECT 1 FROM flaps fl WHERE fl.chat = $1 AND fl.node_id = e.id)
				AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.chat = $1 AND d.held IN ('silenced', 'flapping') AND d.held <> ''
					AND d.node_id = e.id)
			ORDER BY e.id`, []any{l.Chat, told, int64(began)}, func(scan func(...any) error) (bool, error) {
			var f nodestore.Failing
			var known string
			if err := scan(&f.NodeID, &f.Name, &f.Meta, &f.IP, &f.State, &f.Reason, &f.Since, &f.Incident, &f.Nth, &known); err != nil {
				return false, err
			}
			_, f.Message, f.Told = parseKnown(known)
			return true, visit(f)
		})
	})
}

// EachNode implements nodestore.Deliveries.
func (s Store) EachNode(ctx context.Context, visit func(node.Node) error) error {
	return s.read(ctx, "read all nodes", func(tx session) error {
		return tx.each(ctx, `SELECT `+NodeColumns+` FROM nodes ORDER BY id`, nil, func(scan func(...any) error) (bool, error) {
			n, err := scanNode(scan)
			if err == nil {
				err = visit(n)
			}
			return true, err
		})
	})
}

// page is how many events are read at a time: without a limit Postgres would sort them all.
const page = 1000

// EachEvent implements nodestore.Deliveries.
func (s Store) EachEvent(ctx context.Context, since time.Time, visit func(nodestore.StoredEvent) error) error {
	return s.read(ctx, "read events back in time", func(tx session) error {
		at := cursor{epoch: 1<<63 - 1}
		for {
			n, over := 0, false
			err := tx.each(ctx, `SELECT `+selectEvent+` FROM events e
				WHERE e.partition = $1 AND (e.epoch, e.seq, e.ordinal) < ($2, $3, $4)
				ORDER BY e.epoch DESC, e.seq DESC, e.ordinal DESC LIMIT $5`, []any{told, at.epoch, at.seq, at.ordinal, page},
				func(scan func(...any) error) (bool, error) {
					e, err := scanEvent(scan)
					if over = e.Found.Before(since); err != nil || over {
						return false, err
					}
					n, at = n+1, cursor{e.ID.Epoch, int64(e.ID.Seq), int64(e.ID.Ordinal)}
					return true, visit(e)
				})
			if err != nil || over || n < page {
				return err
			}
		}
	})
}

// LostSince implements nodestore.Deliveries.
func (s Store) LostSince(ctx context.Context, since node.Stamp) (lost, all int, err error) {
	err = s.read(ctx, "count nodes", func(tx session) error {
		_, err := tx.one(ctx, `SELECT count(*) FILTER (WHERE state = 'lost' AND since >= $2), count(*)
			FROM nodes WHERE partition = $1`, []any{told, int64(since)}, &lost, &all)
		return err
	})
	return lost, all, err
}

// Summed implements nodestore.Deliveries.
func (s Store) Summed(ctx context.Context, l nodestore.ChatLease, day string) (done bool, err error) {
	err = s.read(ctx, fmt.Sprintf("look for the summary of %s", day), func(tx session) (err error) {
		if err := chatLease(l).check(ctx, tx, ""); err != nil {
			return err
		}
		var one int
		done, err = tx.one(ctx, `SELECT 1 FROM summaries WHERE chat = $1 AND day = $2`, []any{l.Chat, day}, &one)
		return err
	})
	return done, err
}
