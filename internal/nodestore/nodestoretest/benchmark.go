package nodestoretest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// BenchmarkCommit measures commits of heartbeats, each about 1 in 20 of the nodes, as rows a second.
func BenchmarkCommit(b *testing.B, s nodestore.Store) {
	const size, share = 20_000, 20
	l, err := s.Acquire(b.Context(), 0, "a", long, initial)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]node.Node, size)
	for i := range all {
		all[i] = node.Node{ID: fmt.Sprintf("node-%06d", i), State: node.Up, IP: "192.0.2.1", Meta: "rack 7"}
	}
	commit := func(seq uint64, nodes []node.Node) {
		for i := range nodes {
			nodes[i].Heard, nodes[i].HeardW, nodes[i].Seq = node.Stamp(seq), time.Duration(seq), int64(seq)
		}
		c := node.Changes{Clock: node.Clock{Position: node.Position{Epoch: 1, Seq: seq}}}
		if seq == 1 {
			c.Nodes = nodes
		} else {
			c.Heard = Heard(nodes)
		}
		if err := s.Commit(b.Context(), l, node.Position{Epoch: 1, Seq: seq - 1}, c); err != nil {
			b.Fatal(err)
		}
	}
	commit(1, all)
	seq := uint64(1)
	for b.Loop() {
		seq++
		var some []node.Node
		for j := int(seq) % share; j < size; j += share {
			some = append(some, all[j])
		}
		commit(seq, some)
	}
	b.ReportMetric(float64(b.N)*size/share/b.Elapsed().Seconds(), "nodes/s")
}

// Fleet fills an empty store with so many nodes, each with what an agent sends and with changes over the last 30 days:
// every 50th is flapping (200 changes), the others have about four. One in a hundred is down, lost or degraded. It
// returns the ids.
func Fleet(tb testing.TB, s nodestore.Store, size int) (ids []string) {
	tb.Helper()
	l, err := s.Acquire(tb.Context(), 0, "a", long, initial)
	if err != nil {
		tb.Fatal(err)
	}
	f := fleet{tb: tb, store: s, lease: l, rng: rand.New(rand.NewPCG(3, 4)), now: node.Stamp(time.Now().UnixNano())}
	f.at.Epoch = 1
	for from := 0; from < size; from += 2000 {
		f.commit(from, min(from+2000, size))
	}
	for i := range size {
		ids = append(ids, f.id(i))
	}
	return ids
}

type fleet struct {
	tb    testing.TB
	store nodestore.Store
	lease nodestore.Lease
	at    node.Position
	rng   *rand.Rand
	now   node.Stamp
}

func (f *fleet) id(i int) string { return fmt.Sprintf("gpu-%06d-swarm", i) }

func (f *fleet) commit(from, to int) {
	f.tb.Helper()
	c := node.Changes{}
	f.at.Seq++
	add := func(e node.Event) {
		e.ID = node.EventID{Epoch: 1, Seq: f.at.Seq, Ordinal: len(c.Events)}
		c.Events = append(c.Events, e)
	}
	for i := from; i < to; i++ {
		n := f.node(i)
		changes := 2 * f.rng.IntN(4)
		if i%50 == 0 {
			changes = 200
		}
		at := f.now - node.Stamp(30*24*time.Hour)
		n.Joined, n.Since = at, at
		add(node.Event{Kind: node.Joined, NodeID: n.ID, To: node.Up, At: at})
		state := node.Up
		for j := range changes {
			at += node.Stamp(29*24*time.Hour) / node.Stamp(changes+1)
			if j%2 == 0 {
				state = node.Down
				add(node.Event{Kind: node.Changed, NodeID: n.ID, From: node.Up, To: state, At: at, Reason: "port_closed_3000", Evidence: "dial tcp 127.0.0.1:3000: connection refused"})
			} else {
				add(node.Event{Kind: node.Changed, NodeID: n.ID, From: state, To: node.Up, At: at, Since: n.Since, Lasted: at.Since(n.Since)})
				state = node.Up
			}
			n.Since = at
		}
		if i%100 == 7 {
			n.State = []node.State{node.Down, node.Lost, node.Degraded}[i/100%3]
			n.Reason, n.Since, n.Incident = "port_closed_3000", at+5, at+5
			add(node.Event{Kind: node.Changed, NodeID: n.ID, From: node.Up, To: n.State, At: at + 5, Reason: n.Reason})
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.Clock.Position = f.at
	if err := f.store.Commit(f.tb.Context(), f.lease, node.Position{Epoch: 1, Seq: f.at.Seq - 1}, c); err != nil {
		f.tb.Fatal(err)
	}
}

const (
	someMetrics = `{"cpus":16,"cpu_percent":12.5,"load1":0,"load5":1.25,"load15":2.5,"mem_total_bytes":68719476736,` +
		`"mem_used_bytes":21474836480,"oom_kills":0,"uptime_sec":86400.5,"disk":{"path":"/","total_bytes":536870912000,"free_bytes":0},` +
		`"gpus":[{"name":"NVIDIA GeForce RTX 4090","use_percent":97,"mem_used_bytes":1073741824,"mem_total_bytes":25769803776,"temp_celsius":41}]}`
	someWorkload = `{"kind":"rl-swarm","phase":"training","phase_sec":1860,"round":39512,"round_age_sec":61.5,` +
		`"peer_id":"QmRAFupGJwJB8mGG6eNsAbo1CQeAGQeEWqZTvALybgBetc","peer_name":"jagged spotted mandrill","model":"Gensyn/Qwen2.5-0.5B-Instruct"}`
)

func (f *fleet) node(i int) node.Node {
	return node.Node{
		ID: f.id(i), Name: fmt.Sprint("Node ", f.rng.IntN(1<<20)), IP: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255),
		Meta: fmt.Sprintf("rack=%d,team=%d", i%200, i%7), State: node.Up, Told: node.Up,
		Heard: f.now - node.Stamp(f.rng.Int64N(int64(time.Minute))), Interval: time.Minute,
		BootID: "5f0c2d5e-8a53-4c60-9b3e-6f7a3c1f0b11", AgentVersion: "1.0.0", OS: "linux", Arch: "amd64",
		Metrics: someMetrics, Workload: someWorkload,
	}
}

// Reads are what the page asks of a large fleet, by name.
func Reads(ids []string) map[string]func(ctx context.Context, s nodestore.Store) (int, error) {
	page := func(q nodestore.NodeQuery) func(context.Context, nodestore.Store) (int, error) {
		q.Limit = 100
		return func(ctx context.Context, s nodestore.Store) (int, error) {
			nodes, err := s.Nodes(ctx, q)
			return len(nodes), err
		}
	}
	deep := node.Node{ID: ids[len(ids)/2], State: node.Up}
	month := node.Stamp(time.Now().Add(-30 * 24 * time.Hour).UnixNano())
	return map[string]func(context.Context, nodestore.Store) (int, error){
		"nodes by id":                     page(nodestore.NodeQuery{}),
		"nodes by id, in the middle":      page(nodestore.NodeQuery{After: deep.ID}),
		"worst nodes":                     page(nodestore.NodeQuery{Order: nodestore.OrderWorst}),
		"worst nodes, in the middle":      page(nodestore.NodeQuery{Order: nodestore.OrderWorst, After: nodestore.OrderWorst.Key(&deep)}),
		"worst nodes, from the end":       page(nodestore.NodeQuery{Order: nodestore.OrderWorst, Reverse: true}),
		"nodes by since":                  page(nodestore.NodeQuery{Order: nodestore.OrderSince, Reverse: true}),
		"nodes of a rare state":           page(nodestore.NodeQuery{States: []node.State{node.Degraded}}),
		"nodes of a rare state, last":     page(nodestore.NodeQuery{States: []node.State{node.Lost}, Order: nodestore.OrderSince, Reverse: true}),
		"nodes of the common state, last": page(nodestore.NodeQuery{States: []node.State{node.Up, node.Degraded}, Order: nodestore.OrderSince, Reverse: true}),
		"nodes of two states":             page(nodestore.NodeQuery{States: []node.State{node.Down, node.Lost}, Order: nodestore.OrderWorst}),
		"nodes of the common state":       page(nodestore.NodeQuery{States: []node.State{node.Up}}),
		"one node":                        page(nodestore.NodeQuery{ID: deep.ID}),
		"scan: nodes by heard":            page(nodestore.NodeQuery{Order: nodestore.OrderHeard}),
		"scan: nodes by name":             page(nodestore.NodeQuery{Order: nodestore.OrderName}),
		"scan: search, found":             page(nodestore.NodeQuery{Search: "rack=7,"}),
		"scan: search, not found":         page(nodestore.NodeQuery{Search: "nowhere"}),
		"scan: search, not ASCII":         page(nodestore.NodeQuery{Search: "нигде"}),
		"scan: all nodes": func(ctx context.Context, s nodestore.Store) (int, error) {
			nodes, err := s.Nodes(ctx, nodestore.NodeQuery{})
			return len(nodes), err
		},
		"scan: status": func(ctx context.Context, s nodestore.Store) (int, error) {
			status, err := s.Status(ctx, 0)
			return len(status.Counts), err
		},
		"transitions of 100 nodes, 30 days": func(ctx context.Context, s nodestore.Store) (int, error) {
			events, err := s.Transitions(ctx, ids[len(ids)/2:len(ids)/2+100], month)
			return len(events), err
		},
		"transitions of 100 nodes, a day": func(ctx context.Context, s nodestore.Store) (int, error) {
			events, err := s.Transitions(ctx, ids[len(ids)/2:len(ids)/2+100], month+node.Stamp(29*24*time.Hour))
			return len(events), err
		},
		"incidents": func(ctx context.Context, s nodestore.Store) (int, error) {
			incidents, err := s.Incidents(ctx, nodestore.IncidentQuery{})
			return len(incidents), err
		},
		"incidents that are over": func(ctx context.Context, s nodestore.Store) (int, error) {
			incidents, err := s.Incidents(ctx, nodestore.IncidentQuery{After: "over,1:0:10:5"})
			return len(incidents), err
		},
		"incidents of a node": func(ctx context.Context, s nodestore.Store) (int, error) {
			incidents, err := s.Incidents(ctx, nodestore.IncidentQuery{NodeID: ids[0]})
			return len(incidents), err
		},
		"blind spans": func(ctx context.Context, s nodestore.Store) (int, error) {
			spans, err := s.BlindSpans(ctx, month)
			return 1 + len(spans), err
		},
		"samples of a week": func(ctx context.Context, s nodestore.Store) (int, error) {
			samples, err := s.Samples(ctx, ids[0], node.Stamp(time.Now().Add(-7*24*time.Hour).UnixNano()))
			return 1 + len(samples), err
		},
	}
}

// BenchmarkReads measures what the page asks of 100,000 nodes.
func BenchmarkReads(b *testing.B, s nodestore.Store, prepare func()) {
	reads := Reads(Fleet(b, s, 100_000))
	prepare()
	for _, name := range slices.Sorted(maps.Keys(reads)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n, err := reads[name](b.Context(), s)
				if err != nil || n == 0 && !strings.Contains(name, "search, not") {
					b.Fatalf("%d, %v", n, err)
				}
			}
		})
	}
}

// Commits measures what the evaluator writes for 100,000 nodes: commits of 5,000 heartbeats without and with the samples
// that fall due among them, when each node reports once a minute (a tenth of them); and one commit in which 20,000 nodes
// become lost.
func Commits(b *testing.B, s nodestore.Store) {
	const size, group, lost = 100_000, 5000, 20_000
	f := fleet{tb: b, store: s, rng: rand.New(rand.NewPCG(3, 4)), now: node.Stamp(time.Now().UnixNano())}
	var err error
	if f.lease, err = s.Acquire(b.Context(), 0, "a", long, initial); err != nil {
		b.Fatal(err)
	}
	all := make([]node.Node, size)
	for i := range all {
		all[i] = f.node(i)
	}
	seq := uint64(0)
	commit := func(nodes []node.Node, events []node.Event) {
		for i := range nodes {
			nodes[i].Heard, nodes[i].HeardW, nodes[i].Seq = f.now+node.Stamp(seq), time.Duration(seq), int64(seq)
		}
		for i := range events {
			events[i].ID = node.EventID{Epoch: 1, Seq: seq + 1, Ordinal: i}
		}
		c := node.Changes{Clock: node.Clock{Position: node.Position{Epoch: 1, Seq: seq + 1}}, Events: events}
		switch {
		case seq < size/group:
			c.Nodes = nodes
		case len(events) > 0:
			c.Judged = Judged(nodes)
		default:
			c.Heard = Heard(nodes)
		}
		if err := s.Commit(b.Context(), f.lease, node.Position{Epoch: 1, Seq: seq}, c); err != nil {
			b.Fatal(err)
		}
		seq++
	}
	for some := range slices.Chunk(all, group) {
		commit(some, nil)
	}
	some := func() []node.Node { return all[int(seq)%(size/group)*group:][:group] }
	b.Run("heartbeats", func(b *testing.B) {
		for b.Loop() {
			commit(some(), nil)
		}
	})
	b.Run("heartbeats and samples", func(b *testing.B) {
		slot := 0
		for b.Loop() {
			nodes := some()
			commit(nodes, nil)
			var samples []nodestore.Sample
			for i := slot % 10; i < group; i += 10 {
				at := f.now + node.Stamp(slot)*node.Stamp(nodestore.SampleEvery)
				samples = append(samples, nodestore.Sample{NodeID: nodes[i].ID, At: at, Round: new(int64(39512)), CPU: new(12.5), Memory: new(31.2), Disk: new(80.0), GPUUse: new(97.0), GPUMemory: new(4.2), GPUTemp: new(41.0)})
			}
			slot++
			if err := s.AddSamples(b.Context(), samples); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lost", func(b *testing.B) {
		state := node.Lost
		for b.Loop() {
			events := make([]node.Event, lost)
			for i := range events {
				n := &all[i]
				events[i] = node.Event{Kind: node.Changed, NodeID: n.ID, From: n.State, To: state, At: node.Stamp(seq)}
				n.State, n.Since, n.Incident = state, node.Stamp(seq), node.Stamp(seq)
			}
			commit(all[:lost], events)
			if state == node.Lost {
				state = node.Up
			} else {
				state = node.Lost
			}
		}
	})
}
