package evaluator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// counting is a store that notes how many nodes each commit is of.
type counting struct {
	nodestore.Writer
	commits *[]int
}

func (c counting) Commit(_ context.Context, _ nodestore.Lease, _ node.Position, changes node.Changes) error {
	*c.commits = append(*c.commits, changes.Len())
	return nil
}

// waiting is a reader with messages that are there already.
type waiting chan bus.Message

func (w waiting) Messages() <-chan bus.Message { return w }
func (w waiting) Err() error                   { return nil }
func (w waiting) Stop()                        {}

// An evaluator that is behind commits before very many nodes wait for it, also when it is not time yet: a commit of
// 300,000 nodes that joined took 400 MB.
func TestACommitHoldsNotTooManyNodes(t *testing.T) {
	const messages, each = 50, 700
	var commits []int
	now, pace := time.Unix(1_800_000_000, 0), DefaultPace
	pace.Rows = 0
	s, err := New(Options{
		Store: counting{commits: &commits}, Settings: node.Settings{Threshold: time.Minute, MaxNodes: messages * each},
		Pace: pace, Now: func() time.Time { return now }, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	stored, reader := node.Snapshot{Clock: node.Clock{Settings: s.Settings}}, make(waiting, messages)
	for i := range messages {
		b := contract.Batch{V: contract.Version}
		for j := range each {
			id := fmt.Sprintf("node-%d-%d", i, j)
			b.Heartbeats = append(b.Heartbeats, contract.Heartbeat{NodeID: id})
			stored.Nodes = append(stored.Nodes, node.Node{ID: id, State: node.Up, Told: node.Up})
		}
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		reader <- bus.Message{Seq: uint64(i + 1), Stamp: now.Add(time.Duration(i)), Data: data}
	}
	o := &owner{Service: s, fold: node.New(0, stored), committing: now, samples: newSampler()}
	for len(reader) > 0 {
		if err := o.take(t.Context(), <-reader, reader); err != nil {
			t.Fatal(err)
		}
	}
	left := o.fold.Dirty()
	total := left
	for _, n := range commits {
		total += n
	}
	if most := slices.Max(append(commits, left)); most > maxDirty+each || total != messages*each || len(commits) > 3 {
		t.Errorf("commits of %v nodes, %d wait: want at most %d at once, and all of %d", commits, left, maxDirty+each, messages*each)
	}
}
