package standardsql

import (
	"context"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Tellings implements nodestore.Reader.
func (s Store) Tellings(ctx context.Context, nodeID string, limit int) (out []nodestore.ToldAlert, err error) {
	err = s.read(ctx, "read what was told of a node", func(tx session) error {
		return tx.each(ctx, `SELECT d.event_id, d.chat, d.held, d.untold, COALESCE(n.told_at, 0), COALESCE(n.message_id, 0),
				COALESCE(n.given_up, $3), COALESCE(n.last_error, '')
			FROM events e JOIN deliveries d ON d.event_id = e.id LEFT JOIN notifications n ON n.id = d.notification
			WHERE e.node_id = $1
			ORDER BY e.partition DESC, e.epoch DESC, e.seq DESC, e.ordinal DESC, d.chat LIMIT $2`, []any{nodeID, limit, false},
			func(scan func(...any) error) (bool, error) {
				var a nodestore.ToldAlert
				var at int64
				var givenUp bool
				err := scan(&a.ID, &a.Chat, &a.Held, &a.Untold, &at, &a.Message, &givenUp, &a.LastError)
				if givenUp {
					a.Untold = nodestore.GivenUp
				} else {
					a.At = instant(at)
				}
				a.Waiting = at == 0 && a.Held == "" && a.Untold == ""
				out = append(out, a)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
