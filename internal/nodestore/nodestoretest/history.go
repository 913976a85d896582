package nodestoretest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var historyChecks = []check{
	{"transitions begin with the last before", transitions},
	{"transitions keep the order of the stream when stamps step back", transitionsBack},
	{"a node without events joined in its present state", transitionsOfThePruned},
	{"blind and deaf spans are read", blindSpans},
	{"a deaf span that lasts has no end", deafSpans},
	{"incidents are read, open ones first", incidents},
	{"incidents can be read page by page", incidentPages},
	{"an incident says the worst of it", worstOfIncidents},
	{"an incident whose beginning was pruned is read", prunedIncident},
	{"of random streams is read what a reference finds", randomHistory},
}

// at makes an event of a kind at a stamp.
func at(stamp node.Stamp, kind node.Kind, id string, from, to node.State) node.Event {
	return node.Event{Kind: kind, NodeID: id, From: from, To: to, At: stamp}
}

// happen commits each event as a message of its own.
func (o *owner) happen(t *testing.T, events ...node.Event) {
	t.Helper()
	for _, e := range events {
		o.tell(t, e)
	}
}

// short shows events as "stamp kind to".
func short(events []node.Event) string {
	out := make([]string, 0, len(events))
	for _, e := range events {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d %s %s", e.At, e.Kind, e.To)))
	}
	return strings.Join(out, ", ")
}

func transitions(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.happen(t,
		at(10, node.Joined, "n", "", node.Up), at(20, node.Changed, "n", node.Up, node.Down),
		at(25, node.Joined, "other", "", node.Up), at(30, node.Changed, "n", node.Down, node.Up),
		at(35, node.Doubled, "n", "", ""), at(36, node.Blind, "", "", ""),
		at(40, node.Deleted, "n", node.Up, ""), at(50, node.Joined, "n", "", node.Degraded),
		at(60, node.Joined, "late", "", node.Down),
	)
	for _, tc := range []struct {
		since node.Stamp
		want  string
	}{
		{0, "10 joined up, 20 changed down, 30 changed up, 40 deleted, 50 joined degraded"},
		{10, "10 joined up, 20 changed down, 30 changed up, 40 deleted, 50 joined degraded"},
		{20, "10 joined up, 20 changed down, 30 changed up, 40 deleted, 50 joined degraded"},
		{21, "20 changed down, 30 changed up, 40 deleted, 50 joined degraded"},
		{40, "30 changed up, 40 deleted, 50 joined degraded"},
		{99, "50 joined degraded"},
	} {
		got, err := d.Transitions(t.Context(), []string{"n"}, tc.since)
		must(t, err)
		if len(got) != 1 || short(got["n"]) != tc.want {
			t.Errorf("since %d: %q, want %q", tc.since, short(got["n"]), tc.want)
		}
	}
	got, err := d.Transitions(t.Context(), []string{"other", "unknown", "late", "n"}, 45)
	must(t, err)
	if len(got) != 3 || short(got["other"]) != "25 joined up" || short(got["late"]) != "60 joined down" {
		t.Errorf("of several: %v", got)
	}
	first := got["n"][0]
	diff(t, "what is said of it", first, node.Event{
		ID: first.ID, Kind: node.Deleted, NodeID: "n", From: node.Up, At: 40,
	})
	got, err = d.Transitions(t.Context(), nil, 0)
	if must(t, err); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

// transitionsBack: the last before is the last that the stream has, not the one with the highest stamp.
func transitionsBack(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.happen(t,
		at(50, node.Joined, "n", "", node.Up), at(90, node.Changed, "n", node.Up, node.Down),
		at(40, node.Changed, "n", node.Down, node.Up), at(45, node.Changed, "n", node.Up, node.Degraded),
		at(80, node.Changed, "n", node.Degraded, node.Up),
	)
	got, err := d.Transitions(t.Context(), []string{"n"}, 60)
	must(t, err)
	if want := "45 changed degraded, 80 changed up"; short(got["n"]) != want {
		t.Errorf("%q, want %q", short(got["n"]), want)
	}
}

func transitionsOfThePruned(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commitNodes(t, node.Node{ID: "n", State: node.Lost, Joined: 5, Since: 9})
	got, err := d.Transitions(t.Context(), []string{"n", "gone"}, 100)
	must(t, err)
	diff(t, "transitions", got, map[string][]node.Event{"n": {at(5, node.Joined, "n", "", node.Lost)}})
}

// spans shows spans as "from-to", with a d for deaf ones.
func spans(t *testing.T, d *database, since node.Stamp) string {
	t.Helper()
	all, err := d.BlindSpans(t.Context(), since)
	must(t, err)
	out := make([]string, 0, len(all))
	for _, s := range all {
		if s.ID == (node.EventID{}) {
			t.Errorf("span %+v has no id", s)
		}
		out = append(out, fmt.Sprintf("%d-%d%s", s.From, s.To, map[bool]string{true: "d"}[s.Deaf]))
	}
	return strings.Join(out, " ")
}

// monitor makes a monitor event.
func monitor(kind node.Kind, since, at node.Stamp) node.Event {
	return node.Event{Kind: kind, Since: since, At: at, Lasted: at.Since(since)}
}

func blindSpans(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.happen(t,
		monitor(node.Blind, 10, 20), at(25, node.Joined, "n", "", node.Up), monitor(node.Stalled, 0, 28), monitor(node.Outdated, 0, 29),
		monitor(node.Deaf, 30, 40), monitor(node.Blind, 50, 60), monitor(node.Hearing, 30, 70), monitor(node.Blind, 100, 65),
	)
	for since, want := range map[node.Stamp]string{
		0: "10-20 50-60 30-70d 100-65", 20: "50-60 30-70d 100-65", 19: "10-20 50-60 30-70d 100-65", 64: "30-70d 100-65", 70: "100-65",
	} {
		if got := spans(t, d, since); got != want {
			t.Errorf("since %d: %q, want %q", since, got, want)
		}
	}
	all, err := d.BlindSpans(t.Context(), 64)
	must(t, err)
	if id := all[0].ID; id.Seq != 7 || id.Epoch != 1 {
		t.Errorf("the first span is told by event %v, want the seventh", id)
	}
}

func deafSpans(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.happen(t, monitor(node.Deaf, 10, 20), monitor(node.Hearing, 10, 30))
	if got := spans(t, d, 30); got != "" {
		t.Errorf("a span that is over: %q", got)
	}
	o.happen(t, monitor(node.Deaf, 40, 50))
	if got, want := spans(t, d, 1000), "40-0d"; got != want {
		t.Errorf("while it lasts: %q, want %q", got, want)
	}
	o.happen(t, monitor(node.Hearing, 40, 60))
	if got, want := spans(t, d, 30), "40-60d"; got != want {
		t.Errorf("when it is over: %q, want %q", got, want)
	}
}

// up is the recovery of a node whose incident began at since.
func up(stamp, since node.Stamp, id string, from node.State) node.Event {
	e := at(stamp, node.Changed, id, from, node.Up)
	e.Since = since
	return e
}

// told shows incidents as "node began-ended state reason".
func toldOf(all []nodestore.Incident) string {
	out := make([]string, 0, len(all))
	for _, i := range all {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d-%d %s %s", i.NodeID, i.Began, i.Ended, i.State, i.Reason)))
	}
	return strings.Join(out, ", ")
}

func because(e node.Event, reason, evidence string) node.Event {
	e.Reason, e.Evidence = reason, evidence
	return e
}

func incidents(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	gone := at(60, node.Deleted, "gone", node.Lost, "")
	gone.By = "ann"
	o.happen(t,
		at(1, node.Joined, "a", "", node.Up), at(2, node.Joined, "b", "", node.Up),
		because(at(10, node.Changed, "a", node.Up, node.Down), "port", "refused"),
		because(at(15, node.Joined, "gone", "", node.Down), "no_p2pd", "-"),
		up(20, 10, "a", node.Down),
		at(25, node.Changed, "gone", node.Down, node.Lost),
		because(at(30, node.Changed, "b", node.Up, node.Degraded), "hot", "91"),
		because(at(40, node.Changed, "a", node.Up, node.Lost), "silent", ""),
		at(50, node.Deleted, "fine", node.Up, ""), gone,
	)
	o.commitNodes(t, node.Node{ID: "a", Name: "Alpha", State: node.Lost, Incident: 40}, node.Node{ID: "b", State: node.Degraded, Incident: 30},
		node.Node{ID: "c", State: node.Up})
	acknowledged, err := d.Acknowledge(t.Context(), "a", 10, "bob")
	must(t, err)
	all, err := d.Incidents(t.Context(), nodestore.IncidentQuery{})
	must(t, err)
	for i := range all {
		all[i].Key = ""
	}
	diff(t, "all", all, []nodestore.Incident{
		{NodeID: "a", Name: "Alpha", Began: 40, State: node.Lost, Reason: "silent"},
		{NodeID: "b", Began: 30, State: node.Degraded, Reason: "hot", Evidence: "91"},
		{NodeID: "gone", Began: 15, Ended: 60, Deleted: true, By: "ann", State: node.Down, Reason: "no_p2pd", Evidence: "-"},
		{NodeID: "a", Began: 10, Ended: 20, State: node.Down, Reason: "port", Evidence: "refused", Acknowledgement: acknowledged},
	})
	for name, tc := range map[string]struct {
		query nodestore.IncidentQuery
		want  string
	}{
		"open":         {nodestore.IncidentQuery{OpenOnly: true}, "a 40-0 lost silent, b 30-0 degraded hot"},
		"of one":       {nodestore.IncidentQuery{NodeID: "a"}, "a 40-0 lost silent, a 10-20 down port"},
		"open, of one": {nodestore.IncidentQuery{NodeID: "b", OpenOnly: true}, "b 30-0 degraded hot"},
		"of nobody":    {nodestore.IncidentQuery{NodeID: "c"}, ""},
		"limited":      {nodestore.IncidentQuery{Limit: 3}, "a 40-0 lost silent, b 30-0 degraded hot, gone 15-60 down no_p2pd"},
		"open limited": {nodestore.IncidentQuery{Limit: 1}, "a 40-0 lost silent"},
	} {
		got, err := d.Incidents(t.Context(), tc.query)
		must(t, err)
		if toldOf(got) != tc.want {
			t.Errorf("%s: %q, want %q", name, toldOf(got), tc.want)
		}
	}
	for _, after := range []string{"x", "open,", "open,x,a", "over,", "over,1:2", "1:0:5:0"} {
		_, err := d.Incidents(t.Context(), nodestore.IncidentQuery{After: after})
		wantErr(t, "after "+after, err, nodestore.ErrAfter)
	}
}

func incidentPages(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	var nodes []node.Node
	for i := range 7 {
		id, began := fmt.Sprintf("n%d,%d", i, i), node.Stamp(100+i/2) // two begin at a time; ids with a comma
		o.happen(t, at(began, node.Changed, id, node.Up, node.Down))
		if i%2 == 0 {
			nodes = append(nodes, node.Node{ID: id, State: node.Down, Incident: began})
		} else {
			o.happen(t, up(200+node.Stamp(i), began, id, node.Down))
		}
	}
	o.commitNodes(t, append(nodes, node.Node{ID: "more", State: node.Lost, Incident: 103})...)
	all, err := d.Incidents(t.Context(), nodestore.IncidentQuery{})
	must(t, err)
	if len(all) != 8 {
		t.Fatalf("%d incidents, want 8: %s", len(all), toldOf(all))
	}
	for size := 1; size <= 4; size++ {
		var got []nodestore.Incident
		for q := (nodestore.IncidentQuery{Limit: size}); len(got) <= len(all); q.After = got[len(got)-1].Key {
			page, err := d.Incidents(t.Context(), q)
			must(t, err)
			if len(page) > size {
				t.Fatalf("a page of %d has %d", size, len(page))
			}
			got = append(got, page...)
			if len(page) == 0 {
				break
			}
		}
		diff(t, fmt.Sprint("pages of ", size), got, all)
	}
}

func worstOfIncidents(t *testing.T, d *database) {
	for name, tc := range map[string]struct {
		course string // what it is one after the other; each with itself as reason
		want   string
	}{
		"down before lost":             {"degraded down lost", "down down"},
		"lost before down":             {"lost down degraded", "lost lost"},
		"degraded alone":               {"degraded", "degraded degraded"},
		"a deaf monitor counts less":   {"deaf lost", "lost lost"},
		"but more than degraded":       {"degraded deaf", "lost deaf"},
		"the second incident is asked": {"down up degraded", "degraded degraded"},
	} {
		o := acquire(t, d, "a")
		from, began := node.Up, node.Stamp(0)
		stamp := node.Stamp(1)
		for step := range strings.FieldsSeq(tc.course) {
			to := node.State(step)
			if step == node.ReasonDeaf {
				to = node.Lost
			}
			if to == node.Up {
				o.happen(t, up(stamp, began, name, from))
			} else {
				o.happen(t, because(at(stamp, node.Changed, name, from, to), step, ""))
			}
			if from == node.Up {
				began = stamp
			}
			from = to
			stamp++
		}
		o.commitNodes(t, node.Node{ID: name, State: from, Incident: began, Reason: "now"})
		check := func(when string) {
			t.Helper()
			got, err := d.Incidents(t.Context(), nodestore.IncidentQuery{NodeID: name, Limit: 1})
			must(t, err)
			if said := fmt.Sprintf("%s %s", got[0].State, got[0].Reason); said != tc.want || got[0].Began != began {
				t.Errorf("%s, %s: %q began %d, want %q began %d", name, when, said, got[0].Began, tc.want, began)
			}
		}
		check("open")
		o.happen(t, up(stamp, began, name, from))
		o.commitNodes(t, node.Node{ID: name, State: node.Up})
		check("over")
		o.happen(t, at(stamp+1, node.Changed, name, node.Up, node.Degraded)) // the next one
		check("over, before another")
	}
}

func prunedIncident(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.happen(t, because(at(10, node.Changed, "n", node.Up, node.Down), "port", "refused"))
	o.commitNodes(t, node.Node{ID: "n", State: node.Lost, Incident: 10, Reason: "silent"})
	pass(t, d, 10*time.Millisecond)
	_, err := d.Prune(t.Context(), o.Lease, 0, 10)
	must(t, err)
	check := func(want string) {
		t.Helper()
		got, err := d.Incidents(t.Context(), nodestore.IncidentQuery{})
		must(t, err)
		if toldOf(got) != want {
			t.Errorf("%q, want %q", toldOf(got), want)
		}
	}
	check("n 10-0 lost silent")
	o.happen(t, up(50, 10, "n", node.Lost))
	o.commitNodes(t, node.Node{ID: "n", State: node.Up})
	check("n 10-50 lost")
}

var sampleChecks = []check{
	{"every field of a sample comes back", sampleFields},
	{"a slot keeps its first sample", sampleSlots},
	{"samples are pruned slot by slot", pruneSamples},
}

func sampleFields(t *testing.T, d *database) {
	now := node.Stamp(time.Now().UnixNano())
	ago := func(slots int) node.Stamp { return now - node.Stamp(slots)*node.Stamp(nodestore.SampleEvery) }
	full := nodestore.Sample{
		NodeID: "n", At: ago(3), Round: new(int64(1 << 40)), CPU: new(12.5), Memory: new(0.0), Disk: new(99.9),
		GPUUse: new(100.0), GPUMemory: new(0.1), GPUTemp: new(-40.5),
	}
	odd := nodestore.Sample{NodeID: "n", At: ago(2), CPU: new(1e9), Disk: new(33.333), GPUTemp: new(3276.7)}
	bare := nodestore.Sample{NodeID: "n", At: ago(1)}
	must(t, d.AddSamples(t.Context(), []nodestore.Sample{bare, odd, {NodeID: "other", At: ago(2)}, full}))
	must(t, d.AddSamples(t.Context(), nil))
	got, err := d.Samples(t.Context(), "n", ago(9))
	must(t, err)
	odd.CPU, odd.Disk = nil, new(33.3)
	diff(t, "all", got, []nodestore.Sample{full, odd, bare})
	got, err = d.Samples(t.Context(), "n", odd.At)
	must(t, err)
	diff(t, "since", got, []nodestore.Sample{odd, bare})
	got, err = d.Samples(t.Context(), "n", odd.At+1)
	must(t, err)
	diff(t, "since later", got, []nodestore.Sample{bare})
	if got, err = d.Samples(t.Context(), "unknown", 0); err != nil || len(got) != 0 {
		t.Errorf("of an unknown node: %v, %v", got, err)
	}
	var many []nodestore.Sample
	for i := range 250 { // more than one statement's
		many = append(many, nodestore.Sample{NodeID: fmt.Sprint("m", i), At: ago(1), Round: new(int64(i))})
	}
	must(t, d.AddSamples(t.Context(), many))
	got, err = d.Samples(t.Context(), "m249", ago(9))
	must(t, err)
	diff(t, "the last of many", got, many[249:])
}

func sampleSlots(t *testing.T, d *database) {
	const every = node.Stamp(nodestore.SampleEvery)
	for _, id := range []string{"a", "b", "c"} { // their slots begin at different times
		shift := node.Stamp(nodestore.SampleShift(id))
		begin := (node.Stamp(time.Now().UnixNano())+shift)/every*every - shift // of the slot that is now
		first := nodestore.Sample{NodeID: id, At: begin - every, Round: new(int64(1))}
		last := nodestore.Sample{NodeID: id, At: begin - 1, Round: new(int64(2))}
		next := nodestore.Sample{NodeID: id, At: begin, Round: new(int64(3))}
		for _, s := range []nodestore.Sample{first, last, next} {
			must(t, d.AddSamples(t.Context(), []nodestore.Sample{s}))
		}
		got, err := d.Samples(t.Context(), id, 0+begin-2*every)
		must(t, err)
		diff(t, id, got, []nodestore.Sample{first, next})
	}
}

func pruneSamples(t *testing.T, d *database) {
	const every = node.Stamp(nodestore.SampleEvery)
	now := node.Stamp(time.Now().UnixNano())
	var rounds []int64
	for i := range 5 {
		s := nodestore.Sample{NodeID: "n", At: now - node.Stamp(5-i)*every, Round: new(int64(i))}
		must(t, d.AddSamples(t.Context(), []nodestore.Sample{s}))
	}
	left := func() []int64 {
		t.Helper()
		got, err := d.Samples(t.Context(), "n", now-20*every)
		must(t, err)
		rounds = rounds[:0]
		for _, s := range got {
			rounds = append(rounds, *s.Round)
		}
		return slices.Clone(rounds)
	}
	n, err := d.PruneSamples(t.Context(), 10*nodestore.SampleEvery, 10)
	if must(t, err); n != 0 || len(left()) != 5 {
		t.Errorf("pruned %d of none, left %v", n, left())
	}
	n, err = d.PruneSamples(t.Context(), 0, 2)
	if must(t, err); n != 2 || !reflect.DeepEqual(left(), []int64{2, 3, 4}) {
		t.Errorf("pruned %d with limit 2, left %v", n, left())
	}
	// A sample that is younger than the age is left, whatever its slot.
	n, err = d.PruneSamples(t.Context(), 2*nodestore.SampleEvery+time.Minute, 10)
	if must(t, err); n > 1 || !slices.Contains(left(), 3) || !slices.Contains(left(), 4) {
		t.Errorf("pruned %d, left %v", n, left())
	}
}
