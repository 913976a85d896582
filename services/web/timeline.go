package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// entry is one thing that happened to a node.
type entry struct {
	at                 time.Time
	ISO, When          string
	Class, Word, Glyph string // of the state that it became, "" for none
	Text               string
	Code, Reason       string
	Evidence           string
	Note               string // what is to be said besides, as when it was found
	Told               []toldLine
}

// toldLine is what became of an alert in one chat.
type toldLine struct {
	Chat, Text string
	Class      string // "told", "waits" or "untold"
	Why        string
}

// timeline joins events and annotations, the newest first.
func timeline(w *words, events []nodestore.StoredEvent, annotations []node.Annotation, told map[string][]toldLine, now time.Time) []entry {
	var out []entry
	for i := range events {
		e := newEntry(w, &events[i], now)
		e.Told = told[events[i].ID.String()]
		out = append(out, e)
	}
	for i := range annotations {
		out = append(out, newAnnotation(w, &annotations[i], now))
	}
	slices.SortStableFunc(out, func(a, b entry) int { return b.at.Compare(a.at) })
	return out
}

// lateFound is from when on it is said that something was found later than it happened.
const lateFound = 30 * time.Second

func newEntry(w *words, e *nodestore.StoredEvent, now time.Time) entry {
	out := at(w, e.At, now)
	out.Text = w.event(&e.Event)
	if e.Kind == node.Joined || e.Kind == node.Changed {
		out.state(w, e.To)
		if e.To != node.Up {
			out.Code, out.Reason, out.Evidence = e.Reason, cmp.Or(w.reason(e.Reason), e.Reason), e.Evidence
		}
	}
	if e.Kind == node.Doubled {
		out.Evidence = e.Evidence
	}
	if late := e.Found.Sub(out.at); late > lateFound {
		out.Note = w.foundLater(w.short(late))
	}
	return out
}

func newAnnotation(w *words, a *node.Annotation, now time.Time) entry {
	out := at(w, a.At, now)
	out.Text, out.Note = w.Node.Annotation, w.Node.AgentClock
	if a.Status == contract.StatusCommand {
		out.Text = w.Node.Command
	} else {
		out.Text += ": " + a.Status
	}
	out.Code, out.Reason, out.Evidence = a.Reason, cmp.Or(w.reason(a.Reason), a.Reason), a.Evidence
	return out
}

func at(w *words, s node.Stamp, now time.Time) entry {
	t := s.Time()
	return entry{at: t, ISO: t.Format(time.RFC3339), When: w.when(t, now)}
}

func (e *entry) state(w *words, s node.State) {
	e.Class, e.Word, e.Glyph = stateClass(s), w.state(s), cmp.Or(glyphs[s], "?")
}

// toldOf says by event what became of its alerts.
func toldOf(w *words, tellings []nodestore.ToldAlert, now time.Time) map[string][]toldLine {
	out := make(map[string][]toldLine, len(tellings))
	for _, t := range tellings {
		out[t.ID] = append(out[t.ID], newTold(w, t, now))
	}
	return out
}

func newTold(w *words, t nodestore.ToldAlert, now time.Time) toldLine {
	line := toldLine{Chat: shorten(t.Chat)}
	if t.Chat == logChat {
		line.Chat = w.Node.Log
	}
	switch {
	case !t.At.IsZero():
		line.Class, line.Text = "told", w.when(t.At, now)
	case t.Held != "":
		line.Class, line.Text = "waits", w.held(t.Held)
	case t.Untold != "":
		line.Class, line.Text = "untold", w.untold(t.Untold)
	default:
		line.Class, line.Text, line.Why = "waits", w.Node.ToBeTold, t.LastError
	}
	return line
}
