package standardsql

import (
	"context"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Flow implements nodestore.Deliveries. It counts nothing, so that it may be asked often.
func (s Store) Flow(ctx context.Context, partition int) (out nodestore.Flow, err error) {
	err = s.read(ctx, fmt.Sprintf("look whether heartbeats flow in partition %d", partition), func(tx session) error {
		row, _, err := readPartition(ctx, tx, partition)
		if err != nil {
			return err
		}
		out = nodestore.Flow{Epoch: row.clock.Position.Epoch, Accepted: row.clock.Accepted}
		chats, err := tx.chats(ctx)
		for _, chat := range chats {
			if err == nil {
				err = tx.oldestUntold(ctx, chat, &out)
			}
		}
		return err
	})
	if err != nil {
		return nodestore.Flow{}, err
	}
	return out, nil
}

// chats are the names of all that are not retired.
func (s session) chats(ctx context.Context) (out []string, err error) {
	err = s.each(ctx, `SELECT chat FROM chats WHERE retired_at = 0`, nil, func(scan func(...any) error) (bool, error) {
		var chat string
		err := scan(&chat)
		out = append(out, chat)
		return true, err
	})
	return out, err
}

// oldestUntold notes the chat's oldest untold event, when it is older than what is noted.
func (s session) oldestUntold(ctx context.Context, chat string, f *nodestore.Flow) error {
	at, err := s.cursor(ctx, chat)
	if err != nil {
		return err
	}
	var id string
	var age time.Duration
	some, err := s.one(ctx, `SELECT e.id, {now} - e.found FROM events e WHERE `+untold+` ORDER BY e.found LIMIT 1`,
		[]any{chat, told, at.epoch, at.seq, at.ordinal}, &id, &age)
	if some && (f.Untold == "" || age > f.UntoldAge) {
		f.Untold, f.UntoldAge = id, age
	}
	return err
}
