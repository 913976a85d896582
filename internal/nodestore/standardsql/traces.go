package standardsql

import (
	"context"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// AddTraces implements nodestore.Writer.
func (s Store) AddTraces(ctx context.Context, traces []nodestore.EventTrace) error {
	if len(traces) == 0 {
		return nil
	}
	return s.write(ctx, "store traces", func(tx session) error {
		for some := range slices.Chunk(traces, sampleChunk) {
			const columns = 2
			query, args := "", make([]any, 0, columns*len(some))
			for i := range some {
				if i > 0 {
					query += ", "
				}
				query += "(" + placeholders(1+len(args), columns) + ")"
				args = append(args, some[i].Event.String(), Clean(some[i].Parent))
			}
			if _, err := tx.exec(ctx, "INSERT INTO traces (event_id, parent) VALUES "+query+" ON CONFLICT (event_id) DO NOTHING", args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Traces implements nodestore.Deliveries.
func (s Store) Traces(ctx context.Context, notification int64, limit int) (out []string, err error) {
	err = s.read(ctx, "read traces", func(tx session) error {
		return tx.each(ctx, `SELECT parent FROM
				(SELECT t.parent, row_number() OVER (ORDER BY d.partition, d.epoch, d.seq, d.ordinal) AS nth
				FROM deliveries d JOIN traces t ON t.event_id = d.event_id WHERE d.notification = $1) told
			GROUP BY parent ORDER BY min(nth) LIMIT $2`, []any{notification, limit},
			func(scan func(...any) error) (bool, error) {
				var parent string
				err := scan(&parent)
				out = append(out, parent)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
