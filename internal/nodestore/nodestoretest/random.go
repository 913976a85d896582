package nodestoretest

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// randomHistory commits a random stream as the evaluator does, and compares what is read of the past with what is found
// in all of its events.
func randomHistory(t *testing.T, d *database) {
	const seed, length = 4, 6000
	rng := rand.New(rand.NewPCG(seed, 5)) // the clock is turned back beyond the time that is asked for, too
	l, err := d.Acquire(t.Context(), 0, "a", long, nodetest.GenerateSettings())
	must(t, err)
	snapshot, err := Load(t.Context(), d, l)
	must(t, err)
	f := node.New(0, snapshot)
	var events []node.Event
	from, last := f.Position(), node.Stamp(0)
	for i, step := range nodetest.Generate(rng, length) {
		if step.Torn {
			f.Tear(node.Stamp(i))
		}
		f.Apply(step.Message)
		last = step.Stamp
		if i%300 == 299 {
			c := f.Take()
			must(t, d.Commit(t.Context(), l, from, c))
			from, events = c.Clock.Position, append(events, c.Events...)
		}
	}
	h := history{events: events, last: last}
	h.compareUptime(t, d, rng)
	h.compareIncidents(t, d)
}

// history is all events of a stream, and the stamp of its last message.
type history struct {
	events []node.Event
	last   node.Stamp
}

// nodes are all that ever were.
func (h history) nodes() []string {
	ids := make(map[string]bool)
	var out []string
	for _, e := range h.events {
		if e.NodeID != "" && !ids[e.NodeID] {
			ids[e.NodeID] = true
			out = append(out, e.NodeID)
		}
	}
	slices.Sort(out)
	return out
}

func (h history) of(id string) (out []node.Event) {
	for _, e := range h.events {
		if e.NodeID == id {
			out = append(out, e)
		}
	}
	return out
}

// spans are all blind and deaf ones, by a reading of the events.
func (h history) spans() (out []node.Span) {
	var deaf []node.Span
	for _, e := range h.events {
		switch e.Kind {
		case node.Blind:
			out = append(out, node.Span{ID: e.ID, From: e.Since, To: e.At})
		case node.Deaf:
			deaf = []node.Span{{ID: e.ID, From: e.Since, Deaf: true}}
		case node.Hearing:
			out = append(out, node.Span{ID: e.ID, From: e.Since, To: e.At, Deaf: true})
			deaf = nil
		}
	}
	out = append(out, deaf...)
	slices.SortFunc(out, func(a, b node.Span) int { return a.ID.Compare(b.ID) })
	return out
}

// compareUptime: what the store leaves out makes no difference.
func (h history) compareUptime(t *testing.T, d *database, rng *rand.Rand) {
	t.Helper()
	all, err := d.BlindSpans(t.Context(), 0)
	must(t, err)
	if !reflect.DeepEqual(all, h.spans()) {
		t.Errorf("%d spans are read, want %d, or they differ", len(all), len(h.spans()))
	}
	if len(all) < 20 || len(h.nodes()) < 5 {
		t.Errorf("the stream is too quiet: %d spans, %d nodes", len(all), len(h.nodes()))
	}
	for range 25 {
		since := h.last - node.Stamp(rng.Int64N(int64(8*time.Hour)))
		got, err := d.Transitions(t.Context(), h.nodes(), since)
		must(t, err)
		spans, err := d.BlindSpans(t.Context(), since)
		must(t, err)
		for _, id := range h.nodes() {
			read, want := node.Uptime(got[id], spans, since, h.last), node.Uptime(h.of(id), all, since, h.last)
			if read != want {
				t.Errorf("uptime of %s from %d to %d:\n got %+v\nwant %+v", id, since, h.last, read, want)
			}
		}
	}
}

// incidents are all of a stream, in the order in which they are read.
func (h history) incidents() []nodestore.Incident {
	open := make(map[string]*nodestore.Incident)
	var over []nodestore.Incident
	for _, e := range h.events {
		i := open[e.NodeID]
		switch {
		case e.NodeID == "" || e.Kind == node.Doubled || i == nil && (e.To == node.Up || e.Kind == node.Deleted):
			continue
		case i == nil:
			i = &nodestore.Incident{NodeID: e.NodeID, Began: e.At}
			if e.Kind == node.Joined && e.Since == 0 { // by an import, with what had happened before
				i.Began -= node.Stamp(e.Lasted)
			}
			open[e.NodeID] = i
		case e.To == node.Up || e.Kind == node.Deleted:
			i.Name, i.Ended, i.Deleted, i.By = e.Name, e.At, e.Kind == node.Deleted, e.By
			over = append(over, *i)
			delete(open, e.NodeID)
			continue
		}
		if gravity(e.To, e.Reason) > gravity(i.State, i.Reason) {
			i.State, i.Reason, i.Evidence = e.To, e.Reason, e.Evidence
		}
	}
	var out []nodestore.Incident
	for _, i := range open {
		out = append(out, *i)
	}
	slices.SortFunc(out, func(a, b nodestore.Incident) int {
		return cmp.Or(cmp.Compare(b.Began, a.Began), strings.Compare(b.NodeID, a.NodeID))
	})
	slices.Reverse(over)
	return append(out, over...)
}

func gravity(s node.State, reason string) int {
	switch {
	case s == "":
		return 0
	case s == node.Degraded:
		return 1
	case s == node.Lost && reason == node.ReasonDeaf:
		return 2
	default:
		return 3
	}
}

func (h history) compareIncidents(t *testing.T, d *database) {
	t.Helper()
	got, err := d.Incidents(t.Context(), nodestore.IncidentQuery{Limit: 100_000})
	must(t, err)
	want := h.incidents()
	if len(want) < 100 || want[0].Ended != 0 {
		t.Errorf("the stream is too quiet: %d incidents", len(want))
	}
	for i := range got {
		got[i].Key = ""
		if want[min(i, len(want)-1)].Ended == 0 {
			got[i].Name = "" // of the node as it is
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d incidents, want %d", len(got), len(want))
	}
	for i := range want {
		if diff(t, "incident", got[i], want[i]); t.Failed() {
			return
		}
	}
}
