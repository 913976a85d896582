package evaluator

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing/tracingtest"
)

// Without a tracer a message costs nothing more, whatever it carries.
func TestUntracedMessagesCostNothing(t *testing.T) {
	traces := newTraces(nil, time.Now)
	m := bus.Message{Seq: 1, Traces: "0=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	of := node.Message{Heartbeats: make([]node.Heartbeat, 100)}
	changes := node.Changes{Nodes: make([]node.Node, 100)}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		traces.folded(m, of, node.Position{}, traces.begin())
		if len(announcements(changes.Events, traces.committed(changes, time.Time{}))) != 0 {
			t.Error("an event")
		}
		out, span := traces.announcing(ctx, announcement{})
		traces.announced(span, nil)
		if out != ctx {
			t.Error("a header")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Sequences begin anew with the epoch, also within one commit: an event is never put into another message's trace. And one
// commit makes so many traces at most.
func TestTracesOfOneCommit(t *testing.T) {
	c := tracingtest.New()
	defer c.Close()
	tracer, err := tracing.New(tracing.Exporting{TracesEndpoint: c.URL()}, tracing.Options{Service: "evaluator"})
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	traces := newTraces(tracer, time.Now)
	const parent tracing.Context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	of := node.Message{Heartbeats: []node.Heartbeat{{NodeID: "n"}}}
	traces.folded(bus.Message{Seq: 5, Traces: "0=" + string(parent)}, of, node.Position{Epoch: 1}, traces.begin())
	traces.folded(bus.Message{Seq: 5}, of, node.Position{Epoch: 2}, traces.begin())
	first, second := node.EventID{Epoch: 1, Seq: 5}, node.EventID{Epoch: 2, Seq: 5}
	got := traces.committed(node.Changes{Events: []node.Event{{ID: first, NodeID: "n"}, {ID: second, NodeID: "n"}}}, time.Now())
	if got[first] == "" || got[first][3:35] != parent[3:35] || got[second] == "" || got[second][3:35] == parent[3:35] {
		t.Errorf("the traces are %v", got)
	}
	var many node.Changes
	for seq := range uint64(2 * maxMessages) {
		traces.folded(bus.Message{Seq: seq}, of, node.Position{Epoch: 1}, traces.begin())
		many.Events = append(many.Events, node.Event{ID: node.EventID{Epoch: 1, Seq: seq}})
	}
	if n := len(traces.messages); n != maxMessages {
		t.Errorf("%d messages are remembered", n)
	}
	if n := len(traces.committed(many, time.Now())); n != maxTraced {
		t.Errorf("%d traces", n)
	}
	if n := len(traces.messages); n != 0 {
		t.Errorf("%d messages are remembered after the commit", n)
	}
}
