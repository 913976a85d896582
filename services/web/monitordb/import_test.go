package monitordb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// monitor is a stream and an evaluator in one: what is published is folded at once, unless the evaluator is off.
type monitor struct {
	fold     *node.Fold
	nodes    map[string]node.Node
	events   []node.Event
	seq      uint64
	commands []contract.Command
	off      bool  // nobody folds
	old      bool  // the evaluator does not know the command
	err      error // of the next Publish
}

func newMonitor(most int) *monitor {
	settings := node.Settings{Threshold: 3 * time.Minute, MaxNodes: most}
	return &monitor{
		fold: node.New(0, node.Snapshot{Clock: node.Clock{Settings: settings}}), nodes: map[string]node.Node{},
	}
}

func (m *monitor) apply(msg node.Message) {
	m.seq++
	msg.Seq, msg.Stamp = m.seq, node.Stamp(now.UnixNano())
	m.fold.Apply(msg)
	c := m.fold.Take()
	for _, id := range c.Removed {
		delete(m.nodes, id)
	}
	for _, n := range c.Nodes {
		m.nodes[n.ID] = n
	}
	m.events = append(m.events, c.Events...)
}

func (m *monitor) Publish(_ context.Context, subject string, data []byte) (uint64, error) {
	if m.err != nil {
		return 0, m.err
	}
	if subject != contract.CommandSubject(0) || len(data) > contract.MaxImportBytes+1<<10 {
		return 0, fmt.Errorf("%d bytes for %s", len(data), subject)
	}
	c, err := contract.DecodeCommand(data)
	if err != nil {
		return 0, err
	}
	m.commands = append(m.commands, c)
	if m.off {
		return m.seq + 1, nil
	}
	out := &node.Command{By: c.By, Import: []node.Imported{}}
	for _, n := range c.Nodes {
		out.Import = append(out.Import, node.Imported{NodeID: n.NodeID, IP: n.IP, Meta: n.Meta, State: node.State(n.State), Heard: node.Stamp(n.HeardUnixMs * 1e6)})
	}
	if m.old {
		out = &node.Command{}
	}
	m.apply(node.Message{Command: out})
	return m.seq, nil
}

func (m *monitor) Nodes(context.Context, nodestore.NodeQuery) ([]node.Node, error) {
	var out []node.Node
	for _, n := range m.nodes {
		out = append(out, n)
	}
	return out, nil
}

func (m *monitor) Events(_ context.Context, id string, _ int) ([]nodestore.StoredEvent, error) {
	for i := len(m.events) - 1; i >= 0; i-- {
		if m.events[i].NodeID == id {
			return []nodestore.StoredEvent{{Event: m.events[i]}}, nil
		}
	}
	return nil, nil
}

func (m *monitor) Status(context.Context, int) (nodestore.Status, error) {
	return nodestore.Status{Clock: m.fold.Clock()}, nil
}

// importing gives what was said, one line after the other, and the error.
func (m *monitor) importing(t *testing.T, d Database, dry bool) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Import(t.Context(), Target{Store: m, Stream: m}, d, dry, &out)
	return strings.TrimSpace(out.String()), err
}

func imported(id string, s node.State) contract.Imported {
	return contract.Imported{NodeID: id, State: string(s), HeardUnixMs: now.Add(-time.Hour).UnixMilli()}
}

func TestImportSaysWhatItDid(t *testing.T) {
	m := newMonitor(100)
	m.apply(node.Message{Heartbeats: []node.Heartbeat{{NodeID: "known"}, {NodeID: "deleted"}}})
	m.apply(node.Message{Command: &node.Command{NodeID: "deleted", Delete: true}})
	d := Database{
		Nodes:   []contract.Imported{imported("known", node.Lost), imported("deleted", node.Up), imported("new", node.Up), imported("sick", node.Down)},
		Skipped: []Skipped{{"\u202e", "node_id holds control characters"}},
	}
	dry, err := m.importing(t, d, true)
	if want := "5 nodes: 2 up, 1 down, 1 lost\n1 known here already, left as they are\ncannot be imported: \"\\u202e\": node_id holds control characters\nwould import 3 nodes; nothing was changed"; dry != want || err != nil || len(m.commands) != 0 {
		t.Errorf("said\n%s\nwant\n%s\n%v, %d commands", dry, want, err, len(m.commands))
	}
	said, err := m.importing(t, d, false)
	if !strings.HasSuffix(said, "\n1 deleted here before, left out\nimported 2 nodes; nobody was told") ||
		err == nil || err.Error() != "1 of 5 nodes were not imported, as said above" {
		t.Errorf("said\n%s\n%v", said, err)
	}
	if len(m.nodes) != 3 || m.nodes["known"].State != node.Up || m.nodes["sick"].State != node.Down || m.nodes["sick"].Heard != node.Stamp(now.Add(-time.Hour).UnixNano()) {
		t.Errorf("%+v", m.nodes)
	}
	for _, e := range m.events {
		if e.NodeID == "new" && !e.Quiet {
			t.Errorf("told: %+v", e)
		}
	}
	// Once more: nothing is left to do.
	d.Skipped = nil
	if said, err := m.importing(t, d, false); err != nil || !strings.HasSuffix(said, "imported 0 nodes; nobody was told") {
		t.Errorf("said\n%s\n%v", said, err)
	}
}

func TestManyNodesAreSentInParts(t *testing.T) {
	m := newMonitor(10_000)
	var d Database
	for i := range 2500 {
		n := imported(fmt.Sprint("node-", i), node.Up)
		if i < 1000 {
			n.Meta = strings.Repeat("m", contract.MaxMetaBytes)
		}
		d.Nodes = append(d.Nodes, n)
	}
	said, err := m.importing(t, d, false)
	if err != nil || !strings.Contains(said, " of 2500 sent\n") || !strings.HasSuffix(said, "imported 2500 nodes; nobody was told") || len(m.nodes) != 2500 {
		t.Errorf("%d nodes, said\n%s\n%v", len(m.nodes), said, err)
	}
	for _, c := range m.commands {
		if len(c.Nodes) > contract.MaxImportedNodes || c.By != "import" {
			t.Errorf("a command by %s of %d nodes", c.By, len(c.Nodes))
		}
	}
}

func TestImportFailures(t *testing.T) {
	all := Database{Nodes: []contract.Imported{imported("a", node.Up), imported("b", node.Up), imported("c", node.Up)}}
	t.Run("no room", func(t *testing.T) {
		said, err := newMonitor(2).importing(t, all, false)
		if err == nil || !strings.Contains(said, "1 not imported: no room: MAX_NODES is 2\nimported 2 nodes") {
			t.Errorf("said\n%s\n%v", said, err)
		}
	})
	t.Run("an older evaluator", func(t *testing.T) {
		m := newMonitor(10)
		m.old = true
		said, err := m.importing(t, all, false)
		if err == nil || !strings.Contains(said, "3 not imported: the evaluator did not take them") {
			t.Errorf("said\n%s\n%v", said, err)
		}
	})
	t.Run("NATS is away", func(t *testing.T) {
		m := newMonitor(10)
		m.err = errors.New("no servers")
		if _, err := m.importing(t, all, false); err == nil || !strings.Contains(err.Error(), "after 0 of 3 nodes") {
			t.Error(err)
		}
	})
	t.Run("nobody folds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMonitor(10)
			m.off = true
			start := time.Now()
			if _, err := m.importing(t, all, false); err == nil || !strings.Contains(err.Error(), "no evaluator takes them") {
				t.Error(err)
			}
			if d := time.Since(start); d < Patience || d > Patience+time.Second {
				t.Errorf("waited %v", d)
			}
		})
	})
}

func TestOperands(t *testing.T) {
	for _, tt := range []struct {
		args string
		dry  bool
		err  string
	}{
		{"monitor.db", false, ""}, {"--dry-run monitor.db", true, ""}, {"monitor.db -dry-run", true, ""},
		{"", false, "name one file"}, {"monitor.db b", false, "name one file"}, {"--force monitor.db", false, "-force"},
	} {
		path, dry, err := parse(strings.Fields(tt.args))
		if tt.err == "" && (err != nil || path != "monitor.db" || dry != tt.dry) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%q: %q %v %v", tt.args, path, dry, err)
		}
	}
}

// TestReadAndImportThousands of nodes in a moment: a database of any size that there is.
func TestReadAndImportThousands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor.db")
	db := create(t, path, firstSchema, "BEGIN")
	for i := range 5000 {
		exec(t, db, insertOne, fmt.Sprint("node-", i))
	}
	exec(t, db, "COMMIT")
	m := newMonitor(100_000)
	start := time.Now()
	if _, err := m.importing(t, mustRead(t, path), false); err != nil || len(m.nodes) != 5000 {
		t.Errorf("%d nodes, %v", len(m.nodes), err)
	}
	t.Logf("5,000 nodes in %v, %d commands", time.Since(start).Round(time.Millisecond), len(m.commands))
}
