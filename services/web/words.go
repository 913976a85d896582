package web

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/reason"
)

// states in the order of the counts: what is worst comes first.
var states = []node.State{node.Lost, node.Down, node.Degraded, node.Up}

// words are all texts of the page in one language.
type words struct {
	Lang, OtherLang, OtherName string

	NodeID, IP, Status, LastHeartbeat, Age, Meta string
	Uptime30, Round, GPU                         string
	Nodes, All, Skip, Search, SearchNodes        string
	Incidents, Monitor, Sections                 string // the navigation
	Sort, First, Previous, Next, Pages           string
	Gone, GoneHow, Back                          string

	Orders []string // as orders

	Node     nodeWords
	Incident incidentWords
	Mon      monitorWords
	Whys     map[string]string // why an alert is not told, by the store's word

	States map[node.State]string // as in the badge

	Live, Waiting, NoScript, Lost, Broken    string // {age}: filled in by the script
	Empty, EmptyHow, EmptyPrinted, EmptyHand string
	EmptyOld, Secret, IngestAddress          string
	Senders, SendersMaybe, Clones            string
	NoMatch, ShowAll, NoDatabase, WhyNot     string
	Never, NotSetUp, NoNotifier, API         string

	Units units
	// Long units take a form after the number, as the object of a sentence ("for 5 minutes").
	Long [4]func(n int) string

	summary  func(counts map[node.State]int) string
	number   func(n int64) string
	percent  func(p float64, digits int) string
	stale    func(age string) string
	behind   func(age string) string
	deaf     func(since, refused string) string
	failing  func(chat, why string) string
	waiting  func(n int, age string) string
	overflow func(n int64) string

	event        func(e *node.Event) string // "" where the state says it all
	ago          func(d time.Duration) string
	since        func(span string) string
	foundLater   func(late string) string
	acknowledged func(by, at string) string
	served       func(share string) string
	chartLabel   func(name, last, least, most string) string
	perSecond    func(rate float64) string
	epoch        func(n int64) string
	ofMost       func(most int64) string
}

// span is a time in words, in its largest unit.
func (w *words) span(d time.Duration) string {
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		if d >= unit {
			n := int(d / unit)
			return strconv.Itoa(n) + " " + w.Long[3-i](n)
		}
	}
	n := int(max(d, 0) / time.Second)
	return strconv.Itoa(n) + " " + w.Long[0](n)
}

// short is a time for a column. The script does the same between two refreshes.
func (w *words) short(d time.Duration) string { return w.Units.short(d) }

// when is a time for people: the day is said unless it is today's.
func (w *words) when(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05 UTC")
	}
	return t.Format("2006-01-02 15:04 UTC")
}

// grouped writes a number with a separator between thousands.
func grouped(n int64, separator string) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + separator + text[i:]
	}
	return text
}

// state is the word of a state; one that only a newer evaluator knows is its own.
func (w *words) state(s node.State) string {
	if word, ok := w.States[s]; ok {
		return word
	}
	return string(s)
}

// reason is a code in words, or "" when it has none.
func (w *words) reason(code string) string { return reason.Words(w.Lang, code) }

// doubled says what is known of several senders of one node. Their addresses follow it.
func (w *words) doubled(d node.Doubling) string {
	switch d.Reason {
	case node.ReasonAddresses:
		return w.SendersMaybe
	case node.ReasonSeq:
		return w.Clones
	}
	return w.Senders
}

// units are short and the same after any number: second, minute, hour, day.
type units [4]string

// short is a time in its two largest units.
func (u units) short(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d %s", s, u[0])
	case s < 3600:
		return u.pair(s/60, 1, s%60, 0)
	case s < 86400:
		return u.pair(s/3600, 2, s%3600/60, 1)
	default:
		return u.pair(s/86400, 3, s%86400/3600, 2)
	}
}

func (u units) pair(a int64, unitA int, b int64, unitB int) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, u[unitA])
	}
	return fmt.Sprintf("%d %s %d %s", a, u[unitA], b, u[unitB])
}

// forms gives the English form after a number.
func forms(one, many string) func(int) string {
	return func(n int) string {
		if n == 1 {
			return one
		}
		return many
	}
}

// formsRu gives the Russian form after a number: 1 узел, 2 узла, 5 узлов, 11 узлов, 21 узел.
func formsRu(one, few, many string) func(int) string {
	return func(n int) string {
		switch n10, n100 := n%10, n%100; {
		case n10 == 1 && n100 != 11:
			return one
		case n10 >= 2 && n10 <= 4 && (n100 < 12 || n100 > 14):
			return few
		default:
			return many
		}
	}
}
