package standardsql

import (
	"context"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Status implements nodestore.Reader.
func (s Store) Status(ctx context.Context, partition int) (out nodestore.Status, err error) {
	err = s.read(ctx, fmt.Sprintf("read the status of partition %d", partition), func(tx session) error {
		row, _, err := readPartition(ctx, tx, partition)
		if err != nil {
			return err
		}
		out = nodestore.Status{
			Clock: row.clock, Owner: row.owner, Term: row.term, CommittedAge: row.age.Abs(),
		}
		if out.Counts = row.clock.Counts; out.Counts == nil {
			if out.Counts, err = countNodes(ctx, tx, partition); err != nil {
				return err
			}
		}
		out.Chats, err = readChats(ctx, tx)
		return err
	})
	if err != nil {
		return nodestore.Status{}, err
	}
	return out, nil
}

func countNodes(ctx context.Context, tx session, partition int) (map[node.State]int, error) {
	counts := make(map[node.State]int)
	err := tx.each(ctx, `SELECT state, count(*) FROM nodes WHERE partition = $1 GROUP BY state`, []any{partition},
		func(scan func(...any) error) (bool, error) {
			var state node.State
			var n int
			err := scan(&state, &n)
			counts[state] = n
			return true, err
		})
	return counts, err
}

// readChats says what is shown of chats. Whether one is active goes by the database's clock: after it stepped back, a
// notifier that died may be shown as active until the clock has caught up.
func readChats(ctx context.Context, tx session) (out []nodestore.ChatStatus, err error) {
	err = tx.each(ctx, `SELECT c.chat, c.expires_at > {now}, c.last_told,
			COALESCE((SELECT n.last_error FROM notifications n WHERE n.chat = c.chat AND n.told_at IS NULL), '')
		FROM chats c WHERE c.retired_at = 0 ORDER BY c.chat`, nil,
		func(scan func(...any) error) (bool, error) {
			var c nodestore.ChatStatus
			var lastTold int64
			err := scan(&c.Chat, &c.Active, &lastTold, &c.LastError)
			c.LastTold = instant(lastTold)
			out = append(out, c)
			return true, err
		})
	for i := range out {
		if err == nil {
			err = readBacklog(ctx, tx, &out[i])
		}
	}
	return out, err
}

// readBacklog counts what was not told to the chat: alerts that wait, those in the frozen notification, and events
// that no notifier has looked at yet.
func readBacklog(ctx context.Context, tx session, c *nodestore.ChatStatus) error {
	at, err := tx.cursor(ctx, c.Chat)
	if err != nil {
		return err
	}
	var oldest int64
	_, err = tx.one(ctx, `SELECT count(*), COALESCE(min(e.found), 0) FROM events e WHERE `+untold,
		[]any{c.Chat, told, at.epoch, at.seq, at.ordinal}, &c.Waiting, &oldest)
	c.Oldest = instant(oldest)
	return err
}

// untold selects the events that were not told to chat $1, whose cursor of partition $2 stands at ($3, $4, $5).
const untold = `e.id IN (
	SELECT d.event_id FROM deliveries d WHERE d.chat = $1 AND ` + waits + `
	UNION ALL
	SELECT d.event_id FROM notifications n JOIN deliveries d ON d.notification = n.id
		WHERE n.chat = $1 AND n.told_at IS NULL
	UNION ALL
	SELECT x.id FROM events x WHERE x.partition = $2 AND (x.epoch, x.seq, x.ordinal) > ($3, $4, $5) AND NOT x.quiet)`

// instant is a stored time; 0 is the zero time.
func instant(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
