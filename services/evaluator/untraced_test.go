package evaluator

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
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
