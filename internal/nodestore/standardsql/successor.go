package standardsql

import "context"

// succeedFailures gives to chat $1 the deliveries of failures that chat $2 was told and whose end it was not: their ends
// and reminders go on from them. They stay in their notifications.
const succeedFailures = `UPDATE deliveries SET chat = $1 WHERE chat = $2 AND event_id IN (SELECT f.id FROM events f
	WHERE f.kind IN ('changed', 'joined') AND f.to_state NOT IN ('up', '')
		AND f.node_id IN (SELECT n.id FROM nodes n WHERE n.state <> 'up'
			UNION SELECT w.node_id FROM deliveries w WHERE w.chat = $1 AND ` + unbound + `)
		AND NOT EXISTS (SELECT 1 FROM events b JOIN deliveries bd ON bd.chat = $2 AND bd.event_id = b.id AND bd.notification IS NOT NULL
			WHERE b.node_id = f.node_id AND b.partition = f.partition AND b.to_state IN ('up', '')
				AND (b.epoch, b.seq, b.ordinal) > (f.epoch, f.seq, f.ordinal)))`

// succeed gives to a new chat, if another one moved there, what that one was not told yet and where it stood: people
// put the new id into the configuration, and must neither miss anything nor hear it again. The other one is retired.
func (s session) succeed(ctx context.Context, chat string) (from cursor, ok bool, err error) {
	var old string
	if ok, err = s.one(ctx, `SELECT chat FROM chats WHERE moved_to = $1 AND chat <> $1 ORDER BY last_told DESC LIMIT 1`,
		[]any{chat}, &old); err != nil || !ok {
		return from, false, err
	}
	if from, err = s.cursor(ctx, old); err != nil {
		return from, false, err
	}
	for _, query := range []string{
		// The term grows, so that whoever still tells the old one is fenced.
		`UPDATE chats SET term = term + 1, expires_at = 0, retired_at = {now} WHERE chat = $2 AND chat <> $1`,
		`UPDATE deliveries SET chat = $1 WHERE chat = $2 AND ` + unbound,
		succeedFailures,
		`UPDATE deliveries SET chat = $1 WHERE chat = $2 AND notification IN
			(SELECT id FROM notifications WHERE chat = $2 AND told_at IS NULL)`,
		`UPDATE notifications SET chat = $1 WHERE chat = $2 AND told_at IS NULL`,
		`UPDATE flaps SET chat = $1 WHERE chat = $2`,
		`UPDATE reminders SET chat = $1 WHERE chat = $2`,
		`UPDATE summaries SET chat = $1 WHERE chat = $2`,
	} {
		if _, err := s.exec(ctx, query, chat, old); err != nil {
			return from, false, err
		}
	}
	return from, true, nil
}
