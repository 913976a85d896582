package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
)

// Record is what a run has left behind: the stream, what the reference fold makes of it, and the database.
type Record struct {
	Steps      []nodetest.Step
	Heartbeats []contract.Heartbeat // of all messages, in order

	Want, Got             []string // events, as nodetest.Line writes them
	WantStates, GotStates map[string]string
	Events                []nodestore.StoredEvent // of the database, oldest first
	Position              node.Position
}

// ReadRecord reads everything. No ingest may run any more: it waits until the whole stream is committed.
func (r *Rig) ReadRecord(ctx context.Context, s node.Settings) (*Record, error) {
	out := &Record{GotStates: map[string]string{}}
	if err := out.readStream(ctx, r.NATSURL); err != nil {
		return nil, err
	}
	out.Want, out.WantStates = nodetest.Reference(s, out.Steps)
	store, err := postgres.Open(ctx, r.DatabaseURL, postgres.Options{})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return out, out.readDatabase(ctx, store)
}

func (d *Record) readStream(ctx context.Context, url string) error {
	b, err := bus.Connect(bus.Options{URL: url, Name: "reader"})
	if err != nil {
		return err
	}
	defer b.Close()
	for b.Ready(ctx) != nil && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	info, err := b.Info(ctx, 0)
	if err != nil {
		return err
	}
	reader, err := b.Consume(ctx, 0, bus.Start{Seq: info.First})
	if err != nil {
		return err
	}
	defer reader.Stop()
	for m := range reader.Messages() {
		if err := d.add(m); err != nil {
			return err
		}
		if m.Seq >= info.Last {
			return nil
		}
	}
	return fmt.Errorf("read the stream: %w", reader.Err())
}

// add reads one message with code of its own: the evaluator's is what is tested.
func (d *Record) add(m bus.Message) error {
	step := nodetest.Step{Message: node.Message{Seq: m.Seq, Stamp: node.Stamp(m.Stamp.UnixNano())}}
	if m.Command {
		c, err := contract.DecodeCommand(m.Data)
		if err != nil {
			return err
		}
		step.Command = &node.Command{NodeID: c.NodeID, By: c.By, Delete: c.Kind == contract.CommandDelete}
		if c.Kind == contract.CommandSettings {
			threshold := time.Duration(c.ThresholdSec * float64(time.Second))
			step.Command.Settings = &node.Settings{Threshold: threshold, MaxNodes: c.MaxNodes}
		}
		d.Steps = append(d.Steps, step)
		return nil
	}
	batch, err := contract.DecodeBatch(m.Data)
	if err != nil {
		return err
	}
	step.Unsure = batch.Unsure
	for _, h := range batch.Heartbeats {
		step.Heartbeats = append(step.Heartbeats, node.Heartbeat{NodeID: h.NodeID, Status: h.Status, Reason: h.Reason, BootID: h.BootID, Seq: h.Seq})
	}
	d.Heartbeats = append(d.Heartbeats, batch.Heartbeats...)
	d.Steps = append(d.Steps, step)
	return nil
}

func (d *Record) readDatabase(ctx context.Context, store nodestore.Store) error {
	last := d.Steps[len(d.Steps)-1].Seq
	for d.Position.Seq != last {
		var err error
		if _, d.Position, err = store.Committed(ctx, 0); err != nil {
			return fmt.Errorf("the evaluator has come to %d of %d: %w", d.Position.Seq, last, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	nodes, err := store.Nodes(ctx, nodestore.NodeQuery{})
	if err != nil {
		return err
	}
	for _, n := range nodes {
		d.GotStates[n.ID] = string(n.State) + " " + n.Reason
	}
	if d.Events, err = store.Events(ctx, "", 1_000_000); err != nil {
		return err
	}
	slices.Reverse(d.Events)
	for _, e := range d.Events {
		d.Got = append(d.Got, nodetest.Line(e.Event))
	}
	return nil
}

// Missing are acknowledged heartbeats that are not in the stream.
func (d *Record) Missing(acked []Acknowledged) []Acknowledged {
	type key struct {
		id  string
		seq int64
	}
	there := map[key]bool{}
	for _, h := range d.Heartbeats {
		there[key{h.NodeID, h.Seq}] = true
	}
	return slices.DeleteFunc(slices.Clone(acked), func(a Acknowledged) bool { return there[key{a.NodeID, a.Seq}] })
}

// Telling is how telling one chat stands in the database.
type Telling struct {
	Alerts  int // events worth telling
	Untold  int // of these, not recorded as told
	Letters []Letter
}

// Letter is one notification that was told.
type Letter struct {
	Text      string // HTML
	MessageID int64
}

// ReadTelling reads what was recorded for a chat.
func (r *Rig) ReadTelling(ctx context.Context, chat string) (t Telling, err error) {
	c, err := pgx.Connect(ctx, r.DatabaseURL)
	if err != nil {
		return t, fmt.Errorf("read what was told: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	err = c.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE n.told_at IS NULL
			AND COALESCE(d.held || d.untold, '') = '') FROM events e
		LEFT JOIN deliveries d ON d.event_id = e.id AND d.chat = $1
		LEFT JOIN notifications n ON n.id = d.notification WHERE NOT e.quiet`, chat).Scan(&t.Alerts, &t.Untold)
	if err != nil {
		return t, fmt.Errorf("read what was told: %w", err)
	}
	rows, err := c.Query(ctx, `SELECT html, message_id FROM notifications WHERE chat = $1 AND told_at IS NOT NULL ORDER BY id`, chat)
	if err != nil {
		return t, fmt.Errorf("read what was told: %w", err)
	}
	t.Letters, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
	return t, err
}

// ErrUntold means that alerts were not told in time.
var ErrUntold = errors.New("alerts are not told")

// AwaitTold waits until every alert is told to the chat.
func (r *Rig) AwaitTold(ctx context.Context, chat string) (Telling, error) {
	for {
		t, err := r.ReadTelling(ctx, chat)
		if err != nil || t.Untold == 0 {
			return t, err
		}
		select {
		case <-ctx.Done():
			return t, fmt.Errorf("chat %s: %w: %d of %d", chat, ErrUntold, t.Untold, t.Alerts)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
