package node_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// course writes a course as "from-to state", with a ~ where it is blind.
func course(stretches []node.Stretch) string {
	out := make([]string, 0, len(stretches))
	for _, s := range stretches {
		state := string(s.State)
		if state == "" {
			state = "absent"
		}
		out = append(out, fmt.Sprintf("%d-%d %s%s", s.From, s.To, map[bool]string{true: "~"}[s.Blind], state))
	}
	return strings.Join(out, ", ")
}

// chain makes events of one node, numbered in their order.
func chain(events ...node.Event) []node.Event {
	for i := range events {
		events[i].ID = node.EventID{Epoch: 1, Seq: uint64(10 * (i + 1))}
	}
	return events
}

func joins(at node.Stamp, to node.State) node.Event {
	return node.Event{Kind: node.Joined, At: at, To: to}
}

func changed(at node.Stamp, from, to node.State) node.Event {
	return node.Event{Kind: node.Changed, At: at, From: from, To: to}
}

func deleted(at node.Stamp, from node.State) node.Event {
	return node.Event{Kind: node.Deleted, At: at, From: from}
}

// span makes a span told by the event seq.
func span(seq uint64, from, to node.Stamp) node.Span {
	return node.Span{ID: node.EventID{Epoch: 1, Seq: seq}, From: from, To: to}
}

func deafSpan(seq uint64, from, to node.Stamp) node.Span {
	s := span(seq, from, to)
	s.Deaf = true
	return s
}

func TestCourse(t *testing.T) {
	for name, tc := range map[string]struct {
		events []node.Event
		spans  []node.Span
		want   string // of 100 to 200
	}{
		"nothing is known":               {nil, nil, "100-200 absent"},
		"up all the time":                {chain(joins(5, node.Up)), nil, "100-200 up"},
		"it joined within":               {chain(joins(120, node.Down)), nil, "100-120 absent, 120-200 down"},
		"it joins later":                 {chain(joins(200, node.Up)), nil, "100-200 absent"},
		"a change before":                {chain(joins(5, node.Up), changed(50, node.Up, node.Lost)), nil, "100-200 lost"},
		"a change at the start":          {chain(joins(5, node.Up), changed(100, node.Up, node.Lost)), nil, "100-200 lost"},
		"an incident":                    {chain(joins(5, node.Up), changed(110, node.Up, node.Down), changed(130, node.Down, node.Up)), nil, "100-110 up, 110-130 down, 130-200 up"},
		"an open incident":               {chain(changed(110, node.Up, node.Degraded)), nil, "100-110 up, 110-200 degraded"},
		"what was before was pruned":     {chain(changed(150, node.Down, node.Up)), nil, "100-150 down, 150-200 up"},
		"deleted":                        {chain(joins(5, node.Up), deleted(140, node.Up)), nil, "100-140 up, 140-200 absent"},
		"deleted, created anew":          {chain(joins(5, node.Up), deleted(140, node.Up), joins(160, node.Down)), nil, "100-140 up, 140-160 absent, 160-200 down"},
		"deleted first, the rest pruned": {chain(deleted(140, node.Lost)), nil, "100-140 lost, 140-200 absent"},
		"several at once":                {chain(joins(120, node.Up), changed(120, node.Up, node.Down), changed(120, node.Down, node.Up)), nil, "100-120 absent, 120-200 up"},
		"events of other kinds":          {chain(joins(5, node.Up), node.Event{Kind: node.Doubled, At: 150}), nil, "100-200 up"},

		"blind":                    {chain(joins(5, node.Up)), []node.Span{span(15, 120, 130)}, "100-120 up, 120-130 ~up, 130-200 up"},
		"blind at both ends":       {chain(joins(5, node.Up)), []node.Span{span(15, 50, 110), span(16, 190, 250)}, "100-110 ~up, 110-190 up, 190-200 ~up"},
		"blind throughout":         {chain(joins(5, node.Up)), []node.Span{span(15, 50, 250)}, "100-200 ~up"},
		"spans that overlap":       {chain(joins(5, node.Up)), []node.Span{span(15, 120, 140), span(16, 110, 150), span(17, 150, 160)}, "100-110 up, 110-160 ~up, 160-200 up"},
		"a change while blind":     {chain(joins(5, node.Up), changed(130, node.Up, node.Lost)), []node.Span{deafSpan(25, 120, 140)}, "100-120 up, 120-130 ~up, 130-140 ~lost, 140-200 lost"},
		"absent, blind or not":     {chain(joins(150, node.Up)), []node.Span{span(5, 110, 120), deafSpan(25, 140, 160)}, "100-150 absent, 150-160 ~up, 160-200 up"},
		"deaf, and it lasts":       {chain(joins(5, node.Up), changed(130, node.Up, node.Lost)), []node.Span{deafSpan(19, 120, 0)}, "100-120 up, 120-130 ~up, 130-200 ~lost"},
		"deaf once, and now again": {chain(joins(5, node.Up)), []node.Span{span(15, 110, 120), deafSpan(16, 190, 0)}, "100-110 up, 110-120 ~up, 120-190 up, 190-200 ~up"},

		"the clock was turned back": {
			// Down at 180, then the clock went back from 190 to 150: the node was down from 150 on.
			chain(joins(5, node.Up), changed(180, node.Up, node.Down)), []node.Span{span(25, 190, 150)}, "100-150 up, 150-200 down",
		},
		"what was lived before it was turned back": {
			chain(joins(5, node.Up), changed(160, node.Up, node.Down), changed(170, node.Down, node.Up), changed(180, node.Up, node.Lost)),
			[]node.Span{span(15, 152, 158), span(35, 172, 150)}, "100-180 up, 180-200 lost",
		},
		"a clock that was ahead for a while": {
			chain(joins(5, node.Up), changed(5000, node.Up, node.Down), changed(120, node.Down, node.Up)),
			[]node.Span{span(15, 110, 5000), span(25, 5010, 112)}, "100-110 up, 110-112 ~up, 112-120 down, 120-200 up",
		},
	} {
		if got := course(node.Course(tc.events, tc.spans, 100, 200)); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tc.want)
		}
	}
	if got := node.Course(chain(joins(5, node.Up)), nil, 200, 100); got != nil {
		t.Errorf("a time that ends before it begins: %s", course(got))
	}
}

// What was not folded yet is not known, whatever the node was last; it hides nothing that was folded.
func TestWhatIsNotFoldedIsUnobserved(t *testing.T) {
	clock := node.Clock{Batch: 150, Settings: node.Settings{Threshold: 8}} // G is 4
	events := chain(joins(5, node.Up), changed(120, node.Up, node.Down), deleted(190, node.Down))
	spans := []node.Span{span(15, 110, 115), clock.Unfolded()}
	want := "100-110 up, 110-115 ~up, 115-120 up, 120-154 down, 154-190 ~down, 190-200 absent"
	if got := course(node.Course(events, spans, 100, 200)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, none := course(node.Course(events, []node.Span{node.Clock{}.Unfolded()}, 180, 200)), "180-190 down, 190-200 absent"; got != none {
		t.Errorf("when no batch was folded: %s, want %s", got, none)
	}
	if got := course(node.Course(events, spans, 100, 154)); strings.Contains(got, "~down") {
		t.Errorf("before it: %s", got)
	}
}

func TestUptimeAddsUp(t *testing.T) {
	events := chain(joins(10, node.Up), changed(20, node.Up, node.Degraded), changed(25, node.Degraded, node.Down),
		changed(30, node.Down, node.Lost), changed(50, node.Lost, "newer"), changed(60, "newer", node.Up), deleted(95, node.Up))
	spans := []node.Span{span(15, 12, 14), span(45, 40, 45)}
	want := node.Availability{Up: 43, Degraded: 5, Down: 15, Lost: 15, Unobserved: 7, Absent: 15}
	got := node.Uptime(events, spans, 0, 100)
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if share, ok := got.Share(); !ok || share != 48.0/78 || got.Observed() != 78 {
		t.Errorf("share %v, %v of %v", share, ok, got.Observed())
	}
	if share, ok := node.Uptime(events, spans, 40, 45).Share(); ok {
		t.Errorf("a share %v of a time that was blind", share)
	}
	if share, ok := node.Uptime(nil, nil, 0, 100).Share(); ok {
		t.Errorf("a share %v of nothing", share)
	}
	cut := node.UptimeBetween(events, spans, []node.Stamp{0, 13, 13, 40, 100})
	diff := []node.Availability{
		{Up: 2, Unobserved: 1, Absent: 10}, {}, {Up: 6, Degraded: 5, Down: 5, Lost: 10, Unobserved: 1},
		{Up: 35, Down: 10, Lost: 5, Unobserved: 5, Absent: 5},
	}
	if !reflect.DeepEqual(cut, diff) {
		t.Errorf("cut:\n got %+v\nwant %+v", cut, diff)
	}
	if got := node.UptimeBetween(events, spans, []node.Stamp{5}); got != nil {
		t.Errorf("one edge cuts %v", got)
	}
}

// canvas is the reference: a moment after the other is painted with what the node is, in the order of the stream; what
// is lived once more is painted over.
type canvas struct {
	state []node.State
	blind []bool
	at    node.Stamp
	now   node.State
}

func (c *canvas) until(at node.Stamp) {
	for m := c.at; m < at; m++ {
		c.state[m], c.blind[m] = c.now, false
	}
	c.at = at
}

func (c *canvas) unseen(from, to node.Stamp) {
	for m := from; m < to; m++ {
		c.blind[m] = true
	}
}

// sum counts moment by moment.
func (c *canvas) sum(from, to node.Stamp) (a node.Availability) {
	for m := from; m < to; m++ {
		d := map[node.State]*time.Duration{"": &a.Absent, node.Up: &a.Up, node.Degraded: &a.Degraded, node.Down: &a.Down, node.Lost: &a.Lost}[c.state[m]]
		if c.blind[m] && c.state[m] != "" {
			d = &a.Unobserved
		}
		*d++
	}
	return a
}

// TestUptimeIsThatOfTheReference folds random events and spans, whose stamps step back and forth.
func TestUptimeIsThatOfTheReference(t *testing.T) {
	const end = 300
	for seed := range uint64(4000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := &canvas{state: make([]node.State, 2*end), blind: make([]bool, 2*end)}
		var events []node.Event
		var spans []node.Span
		stamp, heard := node.Stamp(1+rng.IntN(40)), node.Stamp(0)
		deaf := node.Stamp(-1)
		for seq := uint64(1); stamp < end && seq < 60; seq++ {
			id := node.EventID{Epoch: 1, Seq: seq}
			kind := rng.IntN(10)
			if kind != 2 || deaf >= 0 { // that it became deaf is no event that is asked for
				c.until(stamp)
			}
			switch {
			case kind < 2: // a span without messages, which may be a step back
				to := max(1, stamp+node.Stamp(rng.IntN(40)-10))
				spans = append(spans, node.Span{ID: id, From: stamp, To: to})
				c.until(to)
				c.unseen(stamp, to)
				stamp = to
			case kind == 2 && deaf < 0:
				deaf = heard
			case kind == 3 && deaf >= 0:
				spans = append(spans, node.Span{ID: id, From: deaf, To: stamp, Deaf: true})
				c.unseen(deaf, stamp)
				deaf = -1
			default:
				e := randomEvent(rng, c.now)
				e.ID, e.At = id, stamp
				events, c.now = append(events, e), e.To
			}
			if deaf < 0 {
				heard = stamp
			}
			stamp = max(1, stamp+node.Stamp(rng.IntN(16)-3))
		}
		to := max(c.at, stamp) + 5
		c.until(to)
		if deaf >= 0 {
			spans = append(spans, node.Span{ID: node.EventID{Epoch: 1, Seq: 99}, From: deaf, Deaf: true})
			c.unseen(deaf, to)
		}
		compareUptime(t, rng, c, events, spans, to)
		if t.Failed() {
			t.Fatalf("seed %d: events %+v\nspans %+v", seed, events, spans)
		}
	}
}

func randomEvent(rng *rand.Rand, now node.State) node.Event {
	states := []node.State{node.Up, node.Degraded, node.Down, node.Lost}
	to := states[rng.IntN(len(states))]
	switch {
	case now == "":
		return node.Event{Kind: node.Joined, To: to}
	case rng.IntN(8) == 0:
		return node.Event{Kind: node.Deleted, From: now}
	default:
		return node.Event{Kind: node.Changed, From: now, To: to}
	}
}

func compareUptime(t *testing.T, rng *rand.Rand, c *canvas, events []node.Event, spans []node.Span, to node.Stamp) {
	t.Helper()
	edges := []node.Stamp{0, to}
	for range rng.IntN(6) {
		edges = append(edges, node.Stamp(rng.IntN(int(to))))
	}
	slices.Sort(edges)
	for i, got := range node.UptimeBetween(events, spans, edges) {
		if want := c.sum(edges[i], edges[i+1]); got != want {
			t.Errorf("from %d to %d:\n got %+v\nwant %+v", edges[i], edges[i+1], got, want)
		}
	}
	from := node.Stamp(rng.IntN(int(to)))
	// As the store cuts them: what comes before the last event before from changes nothing.
	first := len(events)
	for first > 0 && (first == len(events) || events[first].At >= from) {
		first--
	}
	if got, want := node.Uptime(events[first:], spans, from, to), c.sum(from, to); got != want {
		t.Errorf("from %d on:\n got %+v\nwant %+v", from, got, want)
	}
}

func TestEventIDsAreReadBack(t *testing.T) {
	ids := []node.EventID{{Epoch: 1, Seq: 9}, {Epoch: 1, Seq: 10}, {Epoch: 1, Seq: 10, Ordinal: 2}, {Epoch: 2, Seq: 1}, {Epoch: 1, Partition: 1}}
	for i, id := range ids {
		got, err := node.ParseEventID(id.String())
		if err != nil || got != id {
			t.Errorf("%v is read as %v, %v", id, got, err)
		}
		for j, other := range ids {
			if got := id.Compare(other); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v compared with %v: %d", id, other, got)
			}
		}
	}
	for _, bad := range []string{"", "1:0:5", "1:0:5:0:1", "1:0:x:0", ":::"} {
		if id, err := node.ParseEventID(bad); err == nil {
			t.Errorf("%q is read as %v", bad, id)
		}
	}
}
