package notifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// TimeOfDay is when the daily summary is told. The zero value is never.
type TimeOfDay struct {
	Set          bool
	Hour, Minute int
}

// Decode implements envconfig.Decoder: "HH:MM", or "off".
func (d *TimeOfDay) Decode(value string) error {
	if value == "" || value == "off" {
		return nil
	}
	t, err := time.Parse("15:04", value)
	if err != nil || len(value) != len("15:04") {
		return errors.New("not a time of day")
	}
	*d = TimeOfDay{true, t.Hour(), t.Minute()}
	return nil
}

// String is the time as Decode reads it.
func (d TimeOfDay) String() string {
	if !d.Set {
		return "off"
	}
	return fmt.Sprintf("%02d:%02d", d.Hour, d.Minute)
}

// summaryLate is how long after its time a summary is still told. Later it is left out.
const summaryLate = 3 * time.Hour

// day is the day, yyyy-mm-dd, whose summary is due now, "" for none.
func (d TimeOfDay) day(now time.Time, loc *time.Location) string {
	if !d.Set {
		return ""
	}
	now = now.In(loc)
	for _, back := range []int{0, 1} { // one due before midnight may still be told after it
		at := time.Date(now.Year(), now.Month(), now.Day()-back, d.Hour, d.Minute, 0, 0, loc)
		if late := now.Sub(at); late >= 0 && late < summaryLate {
			// Not the day of at: where clocks go forward at midnight, that may be the day before.
			return time.Date(now.Year(), now.Month(), now.Day()-back, 12, 0, 0, 0, loc).Format(time.DateOnly)
		}
	}
	return ""
}

// Summary is how nodes did during a day.
type Summary struct {
	From, To node.Stamp
	Counts   map[node.State]int // now
	Uptime   float64            // of all nodes, from 0 to 1, without what was blind; 1 when nothing was observed
	Worst    []NodeUptime       // those below 1, the worst first, at most 5
}

// NodeUptime is how one node did.
type NodeUptime struct {
	NodeID, Name string
	Uptime       float64
}

// maxWorst is how many nodes a summary names.
const maxWorst = 5

// span is a stretch of time.
type span struct{ from, to node.Stamp }

// almanac adds up the times in which nodes were down, from events that come the newest first.
type almanac struct {
	from, to node.Stamp
	blind    []span            // sorted once all are known
	changes  map[string][]turn // by node, the newest first
	heard    bool              // the next deaf span ended within these events
}

// turn is a change of a node's state.
type turn struct {
	at   node.Stamp
	from node.State
}

func newAlmanac(from, to node.Stamp) *almanac {
	return &almanac{from: from, to: to, changes: make(map[string][]turn)}
}

// event takes the next older event.
func (a *almanac) event(e node.Event) {
	switch e.Kind {
	case node.Blind:
		a.blind = append(a.blind, span{e.Since, e.At})
	case node.Hearing:
		a.blind, a.heard = append(a.blind, span{e.Since, e.At}), true
	case node.Deaf:
		if !a.heard {
			a.blind = append(a.blind, span{e.Since, a.to})
		}
		a.heard = false
	case node.Changed:
		if e.At > a.from && e.At <= a.to {
			a.changes[e.NodeID] = append(a.changes[e.NodeID], turn{e.At, e.From})
		}
	}
}

// settle clips the blind spans to the day and joins those that overlap.
func (a *almanac) settle() {
	slices.SortFunc(a.blind, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	var out []span
	for _, s := range a.blind {
		s.from, s.to = max(s.from, a.from), min(s.to, a.to)
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
		} else if s.from < s.to {
			out = append(out, s)
		}
	}
	a.blind = out
}

// seen is how much of a span was not blind.
func (a *almanac) seen(s span) node.Stamp {
	if s.from >= s.to {
		return 0
	}
	d := s.to - s.from
	for _, b := range a.blind {
		if from, to := max(b.from, s.from), min(b.to, s.to); from < to {
			d -= to - from
		}
	}
	return d
}

// of is for how long the node was observed during the day, and for how long of that it was down or lost.
func (a *almanac) of(n *node.Node) (observed, down node.Stamp) {
	until, state := a.to, n.State
	begin := max(a.from, n.Joined)
	for _, c := range a.changes[n.ID] {
		if !state.Serving() {
			down += a.seen(span{max(c.at, begin), until})
		}
		until, state = min(until, c.at), c.from
	}
	if !state.Serving() {
		down += a.seen(span{begin, until})
	}
	return a.seen(span{begin, a.to}), down
}

// totals adds up nodes.
type totals struct {
	Summary
	observed, down float64
}

func (s *totals) add(n *node.Node, observed, down node.Stamp) {
	s.Counts[n.State]++
	s.observed += float64(observed)
	s.down += float64(down)
	if down <= 0 || observed <= 0 {
		return
	}
	s.Worst = append(s.Worst, NodeUptime{n.ID, n.Name, 1 - float64(down)/float64(observed)})
	if len(s.Worst) > maxWorst {
		slices.SortStableFunc(s.Worst, byUptime)
		s.Worst = s.Worst[:maxWorst]
	}
}

func byUptime(a, b NodeUptime) int { return cmp.Compare(a.Uptime, b.Uptime) }

func (s *totals) summary() Summary {
	slices.SortStableFunc(s.Worst, byUptime)
	s.Uptime = 1
	if s.observed > 0 {
		s.Uptime = 1 - s.down/s.observed
	}
	return s.Summary
}

// summarize makes the summary of the day that ends now, of the nodes that the chat hears of.
func summarize(ctx context.Context, store nodestore.Deliveries, a audience, now time.Time) (Summary, error) {
	from := now.Add(-24 * time.Hour)
	days := newAlmanac(stampOf(from), stampOf(now))
	// What was found before the day began cannot have happened in it. An hour is for clocks that differ.
	err := store.EachEvent(ctx, from.Add(-time.Hour), func(e nodestore.StoredEvent) error {
		days.event(e.Event)
		return nil
	})
	if err != nil {
		return Summary{}, err
	}
	days.settle()
	s := totals{Summary: Summary{From: days.from, To: days.to, Counts: make(map[node.State]int)}}
	err = store.EachNode(ctx, func(n node.Node) error {
		if a.node(n.Meta) {
			observed, down := days.of(&n)
			s.add(&n, observed, down)
		}
		return nil
	})
	return s.summary(), err
}
