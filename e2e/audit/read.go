package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
)

// readStream reads every message of the heartbeats stream.
func readStream(ctx context.Context, url string) ([]nodetest.Step, error) {
	b, err := bus.Connect(bus.Options{URL: url, Name: "audit"})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	info, err := await(ctx, func() (bus.StreamInfo, error) { return b.Info(ctx, 0) })
	if err != nil {
		return nil, err
	}
	if info.First > 1 {
		return nil, fmt.Errorf("the stream begins at message %d: the audit needs all of it", info.First)
	}
	r, err := b.Consume(ctx, 0, bus.Start{Seq: 1})
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	steps := make([]nodetest.Step, 0, info.Last)
	for uint64(len(steps)) < info.Last {
		select {
		case m, ok := <-r.Messages():
			if !ok {
				return nil, fmt.Errorf("read the stream: %w", r.Err())
			}
			step, err := translate(m)
			if err != nil {
				return nil, err
			}
			steps = append(steps, step)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return steps, nil
}

// await repeats what may fail for a moment, until ctx ends.
func await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	for {
		v, err := do()
		if err == nil {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// translate reads a message by itself, not as the evaluator does.
func translate(m bus.Message) (nodetest.Step, error) {
	step := nodetest.Step{Message: node.Message{Seq: m.Seq, Stamp: node.Stamp(m.Stamp.UnixNano())}}
	if m.Command {
		var c contract.Command
		if err := json.Unmarshal(m.Data, &c); err != nil {
			return step, fmt.Errorf("command %d: %w", m.Seq, err)
		}
		step.Command = &node.Command{NodeID: c.NodeID, By: c.By, Delete: c.Kind == contract.CommandDelete}
		if c.Kind == contract.CommandSettings {
			step.Command.Settings = &node.Settings{
				Threshold: time.Duration(c.ThresholdSec * float64(time.Second)), MaxNodes: c.MaxNodes,
			}
		}
		return step, nil
	}
	var b contract.Batch
	if err := json.Unmarshal(m.Data, &b); err != nil {
		return step, fmt.Errorf("batch %d: %w", m.Seq, err)
	}
	step.Unsure = b.Unsure
	for _, h := range b.Heartbeats {
		step.Heartbeats = append(step.Heartbeats, node.Heartbeat{
			NodeID: h.NodeID, IP: h.IP, Meta: h.Meta, Status: h.Status, Reason: h.Reason, Evidence: h.Evidence,
			Interval: time.Duration(h.IntervalSec * float64(time.Second)), BootID: h.BootID, Seq: h.Seq,
		})
	}
	return step, nil
}

type event struct{ node.Event }

// database is all that the audit reads of it.
type database struct {
	events        []event
	states        map[string]string // by node: state and reason
	notifications map[int64]string  // chat and text
	told          map[string]int64  // by event: the notification that told it
	held          map[string]string // by event: why it is not told, or not yet
}

func readDatabase(ctx context.Context, url string) (d database, err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return d, fmt.Errorf("audit: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	d.states, d.told, d.notifications = make(map[string]string), make(map[string]int64), make(map[int64]string)
	d.held = make(map[string]string)
	// What the evaluator says of itself is not of the fold.
	rows, _ := c.Query(ctx, `SELECT epoch, partition, seq, ordinal, kind, node_id, from_state, to_state, reason, at,
		since, quiet FROM events WHERE kind <> 'stalled' ORDER BY epoch, seq, ordinal`)
	d.events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (event, error) {
		var e event
		err := row.Scan(&e.ID.Epoch, &e.ID.Partition, &e.ID.Seq, &e.ID.Ordinal, &e.Kind, &e.NodeID, &e.From, &e.To,
			&e.Reason, &e.At, &e.Since, &e.Quiet)
		return e, err
	})
	if err != nil {
		return d, fmt.Errorf("audit: events: %w", err)
	}
	rows, _ = c.Query(ctx, `SELECT id, state, reason FROM nodes`)
	var id, state, reason string
	if _, err := pgx.ForEachRow(rows, []any{&id, &state, &reason}, func() error {
		d.states[id] = state + " " + reason
		return nil
	}); err != nil {
		return d, fmt.Errorf("audit: nodes: %w", err)
	}
	rows, _ = c.Query(ctx, `SELECT id, chat || chr(10) || html FROM notifications`)
	var number int64
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&number, &text}, func() error {
		d.notifications[number] = text
		return nil
	}); err != nil {
		return d, fmt.Errorf("audit: notifications: %w", err)
	}
	rows, _ = c.Query(ctx, `SELECT event_id, COALESCE(notification, 0), held || untold FROM deliveries
		WHERE notification IS NOT NULL OR held <> '' OR untold <> ''`)
	var why string
	if _, err := pgx.ForEachRow(rows, []any{&id, &number, &why}, func() error {
		if why != "" {
			d.held[id] = why
		} else {
			d.told[id] = number
		}
		return nil
	}); err != nil {
		return d, fmt.Errorf("audit: deliveries: %w", err)
	}
	return d, nil
}

// Settle waits until everything that is in the stream was folded, and everything worth telling told. No ingest may
// run any more: their pulses go on for ever.
func Settle(ctx context.Context, in Input) error {
	b, err := bus.Connect(bus.Options{URL: in.NATSURL, Name: "audit"})
	if err != nil {
		return err
	}
	defer b.Close()
	c, err := pgx.Connect(ctx, in.DatabaseURL)
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	_, err = await(ctx, func() (bool, error) { return true, settled(ctx, b, c) })
	return err
}

func settled(ctx context.Context, b *bus.Bus, c *pgx.Conn) error {
	info, err := b.Info(ctx, 0)
	if err != nil {
		return err
	}
	var seq uint64
	var waiting int
	err = c.QueryRow(ctx, `SELECT (SELECT seq FROM partitions WHERE partition = 0),
		(SELECT count(*) FROM events e WHERE NOT quiet AND NOT EXISTS (SELECT 1 FROM deliveries d
			LEFT JOIN notifications n ON n.id = d.notification
			WHERE d.event_id = e.id AND (n.told_at IS NOT NULL OR d.held <> '' OR d.untold <> '')))`).Scan(&seq, &waiting)
	switch {
	case err != nil:
		return err
	case seq < info.Last:
		return fmt.Errorf("folded to %d of %d messages", seq, info.Last)
	case waiting > 0:
		return fmt.Errorf("%d alerts wait to be told", waiting)
	}
	return nil
}
