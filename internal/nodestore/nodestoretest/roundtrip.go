package nodestoretest

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var roundTripChecks = []check{
	{"every field of a node comes back", nodeFields},
	{"every field of an event comes back", eventFields},
	{"every field of the clock comes back", clockFields},
	{"every field of an annotation comes back", annotationFields},
	{"what no database can store is replaced", unstorable},
}

// filler gives every field of a struct a value of its own, so that one which is not stored, or is stored in the
// place of another, is found, also when it was added later.
type filler struct {
	text   func(field string) string
	number func(field int) int64
	yes    bool
}

// fillers are the kinds of values that must come back.
var fillers = map[string]filler{
	"zero":   {func(string) string { return "" }, func(int) int64 { return 0 }, false},
	"plain":  {func(f string) string { return "the " + f }, func(i int) int64 { return int64(1000 + i) }, true},
	"large":  {func(f string) string { return f + strings.Repeat("x", 3000) }, func(i int) int64 { return math.MaxInt64 - int64(i) }, true},
	"minus":  {func(f string) string { return " " + f + "\n\t" }, func(i int) int64 { return math.MinInt64 + int64(i) }, false},
	"odd":    {func(f string) string { return "Ünïcödé 💥 \u202e '\"\\%_;--" + f }, func(i int) int64 { return -int64(i) }, true},
	"markup": {func(f string) string { return "<b>" + f + "</b> {now} $1 ?" }, func(i int) int64 { return int64(i) }, true},
}

// fill sets every field below v. It fails the test on a kind of field that it does not know.
func (f filler) fill(t *testing.T, v reflect.Value, name string, count *int) {
	t.Helper()
	*count++
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.text(name))
	case reflect.Int, reflect.Int64:
		v.SetInt(f.number(*count))
	case reflect.Uint64:
		v.SetUint(uint64(f.number(*count)) & math.MaxInt64) // sequences of JetStream fit
	case reflect.Bool:
		v.SetBool(f.yes)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(t, v.Field(i), v.Type().Field(i).Name, count)
		}
	case reflect.Map: // of counts by a word; an empty one is stored as none
		if f.yes {
			m := reflect.MakeMap(v.Type())
			for word, n := range map[string]int{"401": 412, f.text(name): int(f.number(*count))} {
				m.SetMapIndex(reflect.ValueOf(word).Convert(v.Type().Key()), reflect.ValueOf(n))
			}
			v.Set(m)
		}
	default:
		t.Fatalf("%s is of kind %v: teach the test", name, v.Kind())
	}
}

func filled[T any](t *testing.T, f filler) (out T) {
	t.Helper()
	count := 0
	f.fill(t, reflect.ValueOf(&out).Elem(), "", &count)
	return out
}

func nodeFields(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	for name, f := range fillers {
		n := filled[node.Node](t, f)
		n.ID = "node " + name
		o.commit(t, node.Changes{Nodes: []node.Node{{ID: n.ID, State: node.Up}}})
		o.commit(t, node.Changes{Nodes: []node.Node{n}}) // an update must set all of it, too
		snapshot, err := Load(t.Context(), d, o.Lease)
		must(t, err)
		diff(t, name+": loaded", snapshot.Nodes, loadable(n))
		nodes, err := d.Nodes(t.Context(), nodestore.NodeQuery{})
		must(t, err)
		diff(t, name+": read", nodes, []node.Node{n})
		updates(t, o, f, n)
		o.commit(t, node.Changes{Removed: []string{n.ID}})
	}
}

// updates checks that of a stored node is written what was heard, judged or altered, and nothing else.
func updates(t *testing.T, o *owner, f filler, n node.Node) {
	t.Helper()
	opposite := f
	opposite.number = func(i int) int64 { return f.number(i) ^ 1 }
	opposite.text = func(field string) string { return "another " + f.text(field) }
	heard := filled[node.Heard](t, opposite)
	heard.ID = n.ID
	n.Heard, n.HeardW, n.Seq, n.Metrics, n.Workload = heard.Heard, heard.HeardW, heard.Seq, heard.Metrics, heard.Workload
	absent := heard
	absent.ID = "absent"
	o.commit(t, node.Changes{Heard: []node.Heard{heard, absent}})
	read := func(what string, want node.Node) {
		t.Helper()
		nodes, err := o.store.Nodes(t.Context(), nodestore.NodeQuery{ChangedSince: o.at.Seq - 1})
		must(t, err)
		diff(t, what, nodes, []node.Node{want})
	}
	read("heard", n)
	judged := filled[node.Judged](t, opposite)
	judged.ID = n.ID
	n.State, n.Reason, n.Evidence, n.Told, n.Since, n.Incident = judged.State, judged.Reason, judged.Evidence, judged.Told, judged.Since, judged.Incident
	o.commit(t, node.Changes{Judged: []node.Judged{judged, {ID: "absent"}}})
	read("judged", n)
	more := opposite
	more.text = func(field string) string { return "more of " + f.text(field) }
	altered := filled[node.Node](t, more)
	altered.ID = n.ID
	want := altered
	want.AgentVersion, want.OS, want.Arch, want.Metrics, want.Workload = n.AgentVersion, n.OS, n.Arch, n.Metrics, n.Workload
	altered.AgentVersion, altered.OS, altered.Arch, altered.Metrics, altered.Workload = "", "", "", "", ""
	o.commit(t, node.Changes{Altered: []node.Node{altered, {ID: "absent"}}})
	read("altered", want)
}

func eventFields(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	for name, f := range fillers {
		e := filled[node.Event](t, f)
		e.ID, e.NodeID = o.event(3, node.Event{}).ID, "node "+name
		recorded := e
		recorded.ID.Ordinal = 1 << 20
		before := time.Now().Truncate(time.Microsecond)
		o.commit(t, node.Changes{Events: []node.Event{e}})
		_, err := d.Record(t.Context(), o.Lease, recorded)
		must(t, err)
		events, err := d.Events(t.Context(), e.NodeID, 10)
		must(t, err)
		if len(events) != 2 {
			t.Fatalf("%s: %d events, want 2", name, len(events))
		}
		diff(t, name+": committed", events[1].Event, e)
		diff(t, name+": recorded", events[0].Event, recorded)
		for _, e := range events {
			if e.Found.Before(before) || e.Found.After(time.Now()) || e.Found.Location() != time.UTC {
				t.Errorf("%s: found at %v, want UTC between %v and now", name, e.Found, before)
			}
		}
	}
}

func annotationFields(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	for name, f := range fillers {
		a := filled[node.Annotation](t, f)
		a.NodeID = "node " + name
		o.commit(t, node.Changes{Annotations: []node.Annotation{a}})
		got, err := d.Annotations(t.Context(), a.NodeID, 10)
		must(t, err)
		diff(t, name, got, []node.Annotation{a})
	}
}

func clockFields(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	for name, f := range fillers {
		c := filled[node.Clock](t, f)
		must(t, d.Commit(t.Context(), o.Lease, o.at, node.Changes{Clock: c}))
		o.at = c.Position
		snapshot, err := Load(t.Context(), d, o.Lease)
		must(t, err)
		diff(t, name+": loaded", snapshot.Clock, c)
		status, err := d.Status(t.Context(), 0)
		must(t, err)
		diff(t, name+": status", status.Clock, c)
	}
}

// unstorable checks what Postgres cannot store, a NUL and what is not UTF-8: ingest refuses them in ids, and
// elsewhere they must not stop a commit, which would be sent again for ever.
func unstorable(t *testing.T, d *database) {
	const bad, good = "a\x00b\xffc", "a\uFFFDb\uFFFDc"
	o := acquire(t, d, "a")
	f := filler{text: func(string) string { return bad }, number: func(i int) int64 { return int64(i) }, yes: true}
	cleaned := f
	cleaned.text = func(string) string { return good }
	e, want := filled[node.Event](t, f), filled[node.Event](t, cleaned)
	e.ID = o.event(0, node.Event{}).ID
	want.ID = e.ID
	e.Refused, want.Refused = map[string]int{"401": 1}, map[string]int{"401": 1}
	n := filled[node.Node](t, f)
	twin := n
	twin.ID, twin.Seq = good, 99 // the same id, once it is stored
	o.commit(t, node.Changes{
		Nodes: []node.Node{n, twin}, Removed: []string{bad}, Deleted: map[string]node.Stamp{bad: 5},
		Events: []node.Event{e},
	})
	note := filled[node.Annotation](t, f)
	o.commit(t, node.Changes{Annotations: []node.Annotation{note}})
	notes, err := d.Annotations(t.Context(), bad, 10)
	must(t, err)
	diff(t, "annotations", notes, []node.Annotation{filled[node.Annotation](t, cleaned)})
	snapshot, err := Load(t.Context(), d, o.Lease)
	must(t, err)
	wantNode := filled[node.Node](t, cleaned)
	wantNode.Seq = 99
	diff(t, "nodes", snapshot.Nodes, loadable(wantNode))
	all, err := d.Nodes(t.Context(), nodestore.NodeQuery{})
	must(t, err)
	diff(t, "nodes, read", all, []node.Node{wantNode})
	heard := filled[node.Heard](t, f)
	wantNode.Heard, wantNode.HeardW, wantNode.Seq = heard.Heard, heard.HeardW, heard.Seq
	wantNode.Name = "altered"
	altered := n
	altered.Name, altered.Heard, altered.HeardW, altered.Seq = wantNode.Name, heard.Heard, heard.HeardW, heard.Seq
	o.commit(t, node.Changes{Heard: []node.Heard{heard}})
	o.commit(t, node.Changes{Judged: []node.Judged{filled[node.Judged](t, f)}})
	o.commit(t, node.Changes{Altered: []node.Node{altered}})
	all, err = d.Nodes(t.Context(), nodestore.NodeQuery{})
	must(t, err)
	diff(t, "nodes, updated", all, []node.Node{wantNode})
	diff(t, "tombstones", snapshot.Deleted, map[string]node.Stamp{good: 5})
	events, err := d.Events(t.Context(), bad, 10)
	must(t, err)
	if len(events) != 1 {
		t.Fatalf("%d events of the node, want 1", len(events))
	}
	diff(t, "event", events[0].Event, want)
	nodes, err := d.Nodes(t.Context(), nodestore.NodeQuery{Search: bad, States: []node.State{bad}})
	if must(t, err); len(nodes) != 1 {
		t.Errorf("%d nodes found, want 1", len(nodes))
	}
	o.commit(t, node.Changes{Removed: []string{bad}, Deleted: map[string]node.Stamp{bad: 0}})
	if left := fmt.Sprint(state(t, o)[0].(node.Snapshot).Nodes); left != "[]" {
		t.Errorf("left: %s", left)
	}
}
