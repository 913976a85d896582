// Package nodestoretest checks an engine against every sentence of the contract in nodestore.
package nodestoretest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Opener opens one database. Called again it opens the same database once more, as another program would. The suite
// closes what it opened. Leases must count by a clock that agrees with time.Now.
type Opener func(t *testing.T) nodestore.Store

// Run runs the suite. fresh makes a new, empty database.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, group := range [][]check{leaseChecks, commitChecks, roundTripChecks, readChecks, orderChecks, historyChecks, sampleChecks, pruneChecks, chatChecks, retiredChecks, deliveryChecks, tellingChecks, quietingChecks, traceChecks, accessChecks} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, newDatabase(t, fresh(t)))
			})
		}
	}
}

// check is one property of a store.
type check struct {
	name string
	run  func(t *testing.T, d *database)
}

// database is what a check works on.
type database struct {
	nodestore.Store
	open Opener
}

func newDatabase(t *testing.T, open Opener) *database {
	t.Helper()
	d := &database{open: open}
	d.Store = d.again(t)
	return d
}

// again opens the database once more.
func (d *database) again(t *testing.T) nodestore.Store {
	t.Helper()
	s := d.open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// Settings and durations that most checks use.
var initial = node.Settings{Threshold: 3 * time.Minute, MaxNodes: 100_000}

const long = time.Hour

// owner holds a partition's lease and commits to it.
type owner struct {
	nodestore.Lease
	store nodestore.Store
	at    node.Position
	clock node.Clock
}

// acquire takes partition 0 and continues where it stands.
func acquire(t *testing.T, s nodestore.Store, name string) *owner {
	t.Helper()
	l, err := s.Acquire(t.Context(), 0, name, long, initial)
	must(t, err)
	snapshot, err := Load(t.Context(), s, l)
	must(t, err)
	return &owner{Lease: l, store: s, at: snapshot.Clock.Position, clock: snapshot.Clock}
}

// next is the position of the message after the last committed one.
func (o *owner) next() node.Position {
	return node.Position{Epoch: o.at.Epoch, Created: 7, Seq: o.at.Seq + 1, Stamp: node.Stamp(1000 * (o.at.Seq + 1))}
}

// try commits changes at the next position.
func (o *owner) try(ctx context.Context, c node.Changes) error {
	c.Clock = o.clock
	c.Clock.Position = o.next()
	if err := o.store.Commit(ctx, o.Lease, o.at, c); err != nil {
		return err
	}
	o.at = c.Clock.Position
	return nil
}

func (o *owner) commit(t *testing.T, c node.Changes) {
	t.Helper()
	must(t, o.try(t.Context(), c))
}

// event makes an event of the next message.
func (o *owner) event(ordinal int, e node.Event) node.Event {
	p := o.next()
	e.ID = node.EventID{Epoch: p.Epoch, Partition: o.Partition, Seq: p.Seq, Ordinal: ordinal}
	if e.At == 0 {
		e.At = p.Stamp
	}
	return e
}

// tell commits one event and returns its id.
func (o *owner) tell(t *testing.T, e node.Event) string {
	t.Helper()
	e = o.event(0, e)
	o.commit(t, node.Changes{Events: []node.Event{e}})
	return e.ID.String()
}

// change is a transition of a node.
func change(id string, from, to node.State) node.Event {
	return node.Event{Kind: node.Changed, NodeID: id, From: from, To: to}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr checks that an error is the one that the contract names.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// eventually waits until the condition holds, which is what the check is about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after 30 s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// pass waits until the database's clock is d after the last commit.
func pass(t *testing.T, s nodestore.Store, d time.Duration) {
	t.Helper()
	eventually(t, "time passes", func() bool {
		status, err := s.Status(t.Context(), 0)
		must(t, err)
		return status.CommittedAge > d
	})
}

// found returns when an event was found.
func found(t *testing.T, s nodestore.Store, id string) time.Time {
	t.Helper()
	events, err := s.Events(t.Context(), "", 1000)
	must(t, err)
	for _, e := range events {
		if e.ID.String() == id {
			return e.Found
		}
	}
	t.Fatalf("event %s is not stored", id)
	return time.Time{}
}
