package node

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Span is a time in which the monitor could not have heard.
type Span struct {
	ID   EventID // of the event that tells of it
	From Stamp
	To   Stamp // zero while it lasts
	Deaf bool
}

// Unfolded is the time after what was folded so far. Of it nothing is known yet: the monitor may be blind, or only late.
// It begins once messages fail to come for as long as still counts as observed, and never when none has come at all.
func (c Clock) Unfolded() Span {
	s := Span{ID: EventID{Epoch: math.MaxInt64}, From: math.MaxInt64}
	if c.Batch != 0 {
		s.From = c.Batch + Stamp(c.Settings.Gap())
	}
	return s
}

// Availability is how long a node was what, within some time.
type Availability struct {
	Up, Degraded, Down, Lost time.Duration
	Unobserved               time.Duration // the monitor was blind or deaf
	Absent                   time.Duration // it had not joined yet, or was deleted
}

// Observed is the time of which the node's state is known.
func (a Availability) Observed() time.Duration { return a.Up + a.Degraded + a.Down + a.Lost }

// Share is the part of the observed time in which the node served, from 0 to 1. It is false when none was observed.
func (a Availability) Share() (float64, bool) {
	observed := a.Observed()
	if observed <= 0 {
		return 0, false
	}
	return float64(a.Up+a.Degraded) / float64(observed), true
}

// Plus is both times together.
func (a Availability) Plus(b Availability) Availability {
	return Availability{
		Up: a.Up + b.Up, Degraded: a.Degraded + b.Degraded, Down: a.Down + b.Down, Lost: a.Lost + b.Lost,
		Unobserved: a.Unobserved + b.Unobserved, Absent: a.Absent + b.Absent,
	}
}

// Stretch is a time in which one thing can be said of a node.
type Stretch struct {
	From, To Stamp
	State    State // "" while it is absent; what it was last, while Blind
	Blind    bool  // also when deaf
}

// Uptime sums up what a node was between two stamps. events are those of the node that Course wants.
func Uptime(events []Event, spans []Span, from, to Stamp) Availability {
	var sum Availability
	for _, s := range Course(events, spans, from, to) {
		sum.add(s, time.Duration(s.To-s.From))
	}
	return sum
}

// UptimeBetween is Uptime cut at the edges, which ascend: one less than there are edges.
func UptimeBetween(events []Event, spans []Span, edges []Stamp) []Availability {
	if len(edges) < 2 {
		return nil
	}
	out := make([]Availability, len(edges)-1)
	i := 0
	for _, s := range Course(events, spans, edges[0], edges[len(edges)-1]) {
		for i < len(out) && edges[i+1] <= s.From {
			i++
		}
		for j := i; j < len(out) && edges[j] < s.To; j++ {
			out[j].add(s, time.Duration(min(s.To, edges[j+1])-max(s.From, edges[j])))
		}
	}
	return out
}

// add counts a stretch for d. A state that only a newer program knows counts as down.
func (a *Availability) add(s Stretch, d time.Duration) {
	switch {
	case s.State == "":
		a.Absent += d
	case s.Blind:
		a.Unobserved += d
	case s.State == Up:
		a.Up += d
	case s.State == Degraded:
		a.Degraded += d
	case s.State == Lost:
		a.Lost += d
	default:
		a.Down += d
	}
}

// Course tells what a node was between two stamps, without a gap, in stretches as long as they can be. events are its joined, changed and deleted ones, from
// the last before from on; spans may be all there are. Before its first event a node was what that changed it from.
//
// A moment that was lived twice, since the clock that stamps was turned back, counts as it was lived last.
func Course(events []Event, spans []Span, from, to Stamp) []Stretch {
	if to <= from {
		return nil
	}
	turns, blind := unroll(events, spans, to)
	var out []Stretch
	state, at := before(turns), from
	for i := 0; at < to; {
		for i < len(turns) && turns[i].at <= at {
			state = turns[i].to
			i++
		}
		end := to
		if i < len(turns) {
			end = min(end, turns[i].at)
		}
		out, at = cover(out, Stretch{From: at, To: end, State: state}, blind), end
	}
	return out
}

// turn is an event that makes a node something else.
type turn struct {
	at       Stamp
	from, to State
}

func before(turns []turn) State {
	if len(turns) == 0 {
		return ""
	}
	return turns[0].from
}

// mark is a turn or a span at its place in the order of the stream.
type mark struct {
	id   EventID
	at   Stamp // 0 for a span that lasts
	turn turn
	span *Span
}

// unroll returns turns and spans on a time that does not step back: none is later than what comes after it in the
// stream. Turns are in order, and spans neither overlap nor touch.
func unroll(events []Event, spans []Span, to Stamp) (turns []turn, blind []Stretch) {
	marks := make([]mark, 0, len(events)+len(spans))
	for i := range events {
		if t, ok := turnOf(&events[i]); ok {
			marks = append(marks, mark{id: events[i].ID, at: t.at, turn: t})
		}
	}
	for i := range spans {
		marks = append(marks, mark{id: spans[i].ID, at: spans[i].To, span: &spans[i]})
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return a.id.Compare(b.id) })
	limit := Stamp(math.MaxInt64)
	for _, m := range slices.Backward(marks) {
		if m.at != 0 {
			limit = min(limit, m.at)
		}
		if m.span == nil {
			m.turn.at = limit
			turns = append(turns, m.turn)
			continue
		}
		end := limit
		if m.at == 0 {
			end = to
		}
		if m.span.From < end {
			blind = append(blind, Stretch{From: m.span.From, To: end, Blind: true})
		}
		if !m.span.Deaf && m.at != 0 { // the stamp before it was reached by all that came before
			limit = min(limit, m.span.From)
		}
	}
	slices.Reverse(turns)
	return turns, union(blind)
}

// turnOf reads an event; one that changes no state is none.
func turnOf(e *Event) (turn, bool) {
	switch e.Kind {
	case Joined:
		return turn{at: e.At, to: e.To}, true
	case Changed:
		return turn{at: e.At, from: e.From, to: e.To}, true
	case Deleted:
		return turn{at: e.At, from: e.From}, true
	default:
		return turn{}, false
	}
}

// union sorts spans and joins those that overlap or touch.
func union(spans []Stretch) (out []Stretch) {
	slices.SortFunc(spans, func(a, b Stretch) int { return cmp.Compare(a.From, b.From) })
	for _, s := range spans {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// cover appends a stretch, cut where blind spans begin and end. An absent node is absent, blind or not.
func cover(out []Stretch, s Stretch, blind []Stretch) []Stretch {
	put := func(from, to Stamp, blind bool) {
		last := len(out) - 1
		switch {
		case from >= to:
		case last >= 0 && out[last].State == s.State && out[last].Blind == blind:
			out[last].To = to
		default:
			out = append(out, Stretch{From: from, To: to, State: s.State, Blind: blind})
		}
	}
	if s.State == "" {
		put(s.From, s.To, false)
		return out
	}
	first, _ := slices.BinarySearchFunc(blind, s.From, func(b Stretch, at Stamp) int { return cmp.Compare(b.To, at) })
	at := s.From
	for _, b := range blind[first:] {
		if b.From >= s.To {
			break
		}
		put(at, max(at, b.From), false)
		put(max(at, b.From), min(b.To, s.To), true)
		at = max(at, min(b.To, s.To))
	}
	put(at, s.To, false)
	return out
}
