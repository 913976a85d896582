package evaluator

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// maxTraced bounds the traces that one commit continues or begins, and the messages between two that are remembered.
const (
	maxTraced   = 256
	maxMessages = 4096
)

// traces remembers what was folded since the last commit, so that the spans of it can be made when it is committed. Spans
// are made of what is committed alone: an owner that is fenced tells nothing of what another folds again. Nothing here
// reaches the fold.
type traces struct {
	tracer   *tracing.Tracer // nil for none
	now      func() time.Time
	messages map[place]foldedMessage
}

// place is where a message stands. Sequences begin anew with the epoch.
type place struct {
	epoch int64
	seq   uint64
}

// foldedMessage is one message and when it was folded.
type foldedMessage struct {
	begun, done time.Time
	parents     map[string]tracing.Context // of its heartbeats that are traced, by node
}

func newTraces(t *tracing.Tracer, now func() time.Time) traces {
	if t == nil {
		return traces{}
	}
	return traces{tracer: t.For("evaluator"), now: now, messages: make(map[place]foldedMessage)}
}

// begin is when a message is taken, zero when nothing is traced.
func (t *traces) begin() time.Time {
	if t.tracer == nil {
		return time.Time{}
	}
	return t.now()
}

// folded remembers a message that brought the fold to a position.
func (t *traces) folded(m bus.Message, of node.Message, at node.Position, begun time.Time) {
	if t.tracer == nil || len(t.messages) >= maxMessages {
		return
	}
	t.messages[place{at.Epoch, m.Seq}] = foldedMessage{begun: begun, done: t.now(), parents: parents(m.Traces, of.Heartbeats)}
}

// parents are the traces of a message's heartbeats, by node. A node that is in it more than once has none: nobody could
// tell which of its heartbeats an event came of, and no trace is better than a wrong one.
func parents(header string, heartbeats []node.Heartbeat) map[string]tracing.Context {
	if header == "" {
		return nil
	}
	out := make(map[string]tracing.Context)
	for _, c := range contract.DecodeTraces(header) {
		if parent := tracing.Parse(c.Parent); parent != "" && c.Heartbeat < len(heartbeats) {
			out[heartbeats[c.Heartbeat].NodeID] = parent
		}
	}
	times := make(map[string]int)
	for i := range heartbeats {
		id := heartbeats[i].NodeID
		if times[id]++; times[id] > 1 {
			delete(out, id)
		}
	}
	return out
}

// work is what is one trace: a heartbeat that is traced, or all else that one message brought about.
type work struct {
	place
	parent tracing.Context // "" for a trace of its own
	node   string          // "" for a message
	events []*node.Event
}

// committed makes the spans of what was committed, and returns for each event which span committed it. It returns nil
// when nothing is traced.
func (t *traces) committed(c node.Changes, begun time.Time) map[node.EventID]tracing.Context {
	if t.tracer == nil {
		return nil
	}
	defer clear(t.messages)
	done := t.now()
	parents := make(map[node.EventID]tracing.Context, len(c.Events))
	for _, w := range t.works(c) {
		m := t.messages[w.place]
		fold := t.tracer.Begin(tracing.Beginning{
			Name: "fold", Kind: tracing.Consumer, Parent: w.parent, At: m.begun, Attrs: w.attrs(),
		})
		fold.End(m.done, "")
		commit := fold.Child(tracing.Beginning{Name: "commit", Kind: tracing.Client, At: begun})
		commit.End(done, "")
		for _, e := range w.events {
			if p := commit.Context(); p != "" {
				parents[e.ID] = p
			}
		}
	}
	return parents
}

// works are what is traced of a commit: each heartbeat that is, whether anything came of it or not; and what events came
// of the rest of each message. Those begin a trace here, as of a node that was not heard for long enough.
func (t *traces) works(c node.Changes) (all []*work) {
	type key struct {
		place
		node string
	}
	found := make(map[key]*work)
	add := func(k key, parent tracing.Context) *work {
		w := found[k]
		if w == nil && len(all) < maxTraced {
			w = &work{place: k.place, parent: parent, node: k.node}
			found[k], all = w, append(all, w)
		}
		return w
	}
	for at, m := range t.messages {
		for id, parent := range m.parents {
			add(key{at, id}, parent)
		}
	}
	for i := range c.Events {
		e := &c.Events[i]
		k := key{place: place{e.ID.Epoch, e.ID.Seq}}
		m, known := t.messages[k.place]
		if !known {
			continue
		}
		if m.parents[e.NodeID] != "" {
			k.node = e.NodeID
		}
		if w := add(k, m.parents[e.NodeID]); w != nil {
			w.events = append(w.events, e)
		}
	}
	return all
}

// attrs say what was folded: the first event stands for all.
func (w *work) attrs() []tracing.Attr {
	attrs := []tracing.Attr{
		tracing.Text("messaging.system", "nats"), tracing.Number("gensyn.seq", w.seq), tracing.Number("gensyn.events", len(w.events)),
	}
	id := w.node
	if len(w.events) > 0 {
		e := w.events[0]
		id = e.NodeID
		attrs = append(attrs, tracing.Text("gensyn.event", e.ID.String()), tracing.Text("gensyn.kind", string(e.Kind)),
			tracing.Text("gensyn.from", string(e.From)), tracing.Text("gensyn.to", string(e.To)), tracing.Text("gensyn.reason", e.Reason))
	}
	return append(attrs, tracing.Text("gensyn.node_id", id))
}

// announcement is a committed event on its way to those who want to know.
type announcement struct {
	node.Event
	parent tracing.Context        // of the span that committed it, "" for none
	traces []nodestore.EventTrace // of all events of its commit, to be stored first; with the first of them alone
}

// announcements are the events of a commit.
func announcements(events []node.Event, parents map[node.EventID]tracing.Context) []announcement {
	out := make([]announcement, len(events))
	var traces []nodestore.EventTrace
	for i, e := range events {
		out[i] = announcement{Event: e, parent: parents[e.ID]}
		if p := out[i].parent; p != "" {
			traces = append(traces, nodestore.EventTrace{Event: e.ID, Parent: string(p)})
		}
	}
	if len(traces) > 0 {
		out[0].traces = traces
	}
	return out
}

// traceLimit bounds storing the traces of a commit's events: they are announced after it.
const traceLimit = 500 * time.Millisecond

// storeTraces makes the traces of events known to whoever reads these from the database. One that is lost costs nothing.
func (o *owner) storeTraces(ctx context.Context, traces []nodestore.EventTrace) {
	if len(traces) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, traceLimit)
	defer cancel()
	if err := o.Store.AddTraces(ctx, traces); err != nil {
		o.Log.Debug().Err(err).Int("events", len(traces)).Msg("traces of events not stored")
	}
}

// announcing begins the span of an announcement, and makes its message carry it.
func (t *traces) announcing(ctx context.Context, a announcement) (context.Context, *tracing.Span) {
	if t.tracer == nil || a.parent == "" {
		return ctx, nil
	}
	span := t.tracer.Begin(tracing.Beginning{
		Name: "announce", Kind: tracing.Producer, Parent: a.parent, At: t.now(),
		Attrs: []tracing.Attr{tracing.Text("messaging.system", "nats"), tracing.Text("gensyn.event", a.ID.String())},
	})
	return bus.WithHeader(ctx, contract.TraceHeader, string(span.Context())), span
}

// announced ends it with how it went.
func (t *traces) announced(span *tracing.Span, err error) {
	if span == nil {
		return
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	span.End(t.now(), why)
}
