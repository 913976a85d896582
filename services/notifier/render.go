package notifier

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// late is how long after its stamp an event may be found before people are told both times.
const late = time.Minute

// Limits in characters of what came over the wire, so that one alert always fits a message and a phone.
const (
	maxIDChars       = 128
	maxNameChars     = 64
	maxEvidenceChars = 300
	maxShortChars    = 64
)

// renderer words alerts as HTML for Telegram.
type renderer struct {
	*catalogue
	loc       *time.Location
	publicURL string // address of the page, "" for none
}

// page of text under construction. Titles and labels are ours; every value is escaped.
type page struct {
	*renderer
	b      strings.Builder
	linked bool // it leads to the page
}

// render words one entry whole: a title, then a line for each thing to know.
func (r *renderer) render(a Entry, now node.Stamp) string {
	p := &page{renderer: r}
	p.entry(a)
	p.history(a, now)
	if !a.wasSilenced() { // since when is said
		p.times(a.Event, a.Found)
	}
	return p.done()
}

// done is the text of the page.
func (p *page) done() string { return strings.TrimSuffix(p.b.String(), "\n") }

func (p *page) entry(a Entry) {
	r, e := p.renderer, a.Event
	switch e.Kind {
	case node.Joined:
		p.joinedNode(e)
	case node.Changed:
		p.changedNode(a)
	case node.Doubled:
		p.doubledNode(e)
	case node.Deleted:
		p.title(r.deleted)
		p.node(e)
		p.field(r.by, p.code(e.By, maxShortChars))
	case node.Blind:
		p.title(r.blind)
		p.text(r.blindSpan, r.duration(e.Lasted), r.moment(e.Since.Time(), r.loc), r.moment(e.At.Time(), r.loc))
	case node.Deaf:
		p.deafMonitor(e)
	case node.Hearing:
		p.hearingMonitor(e)
	case node.Stalled:
		p.stalledMonitor(e)
	case node.Outdated:
		p.title(r.outdated)
		p.say(r.outdatedAdvice)
		p.field(r.evidence, p.code(e.Evidence, maxEvidenceChars))
		p.link()
	default:
		p.title(r.unknown)
		p.field(r.reason, p.code(string(e.Kind)+" "+e.Reason, maxShortChars))
	}
}

func (p *page) joinedNode(e node.Event) {
	switch {
	case e.Since != 0:
		p.title(p.returned)
	case e.To == node.Down || e.To == node.Lost:
		p.title(p.joinedDown)
	case e.To == node.Degraded:
		p.title(p.joinedDegraded)
	default:
		p.title(p.joined)
	}
	p.node(e)
	if e.Since != 0 {
		p.text(p.deletedAt, p.moment(e.Since.Time(), p.loc))
	}
	p.why(e)
}

func (p *page) changedNode(a Entry) {
	e := a.Event
	titles := map[node.State]string{node.Up: p.up, node.Degraded: p.degraded, node.Down: p.down, node.Lost: p.lost}
	title := cmp.Or(titles[e.To], p.unknown)
	flaps := a.Mark == nodestore.Flapping || a.Mark == nodestore.Flapped
	switch a.Mark {
	case nodestore.Flapping:
		title = p.flapping
	case nodestore.Flapped:
		title = p.flapped
	case nodestore.Silenced:
		title = cmp.Or(p.still[e.To], title)
	}
	p.title(title)
	p.node(e)
	if flaps {
		p.field(p.now, p.short[e.To])
	} else if was, ok := p.states[e.From]; ok && e.From != node.Up && e.To != node.Up && e.From != e.To {
		p.field(p.was, was)
	}
	p.why(e)
	switch {
	case e.To == node.Up && e.Since != 0 && !flaps:
		p.field(p.lasted, p.duration(e.Lasted))
	case e.To == node.Lost && e.Since != 0:
		p.field(p.silentFor, p.duration(e.Lasted))
		p.field(p.lastHeard, p.moment(e.Since.Time(), p.loc))
	}
}

// sinceWhen says since when something lasts, and for how long that is; nothing for 0.
func (p *page) sinceWhen(since, now node.Stamp) string {
	if since == 0 {
		return ""
	}
	return fmt.Sprintf(p.sinceSpan, p.moment(since.Time(), p.loc), p.duration(now.Since(since)))
}

// history says what was before, where the entry stands for more than its last alert.
func (p *page) history(a Entry, now node.Stamp) {
	if a.Alerts > 1 {
		from, to := p.clock(a.First.Time(), p.loc), p.clock(a.At.Time(), p.loc)
		p.field(p.changesLabel, fmt.Sprintf(p.changesField, p.number(a.Alerts), from, to))
	}
	switch {
	case a.Kind != node.Changed:
	case a.wasSilenced():
		p.field(p.since, p.sinceWhen(a.Incident, now))
		p.say(p.wasSilenced)
	case a.Mark == nodestore.Flapping:
		p.say(p.flappingAdvice)
	}
}

// doubledNode says who uses the id of another. Of old agents only the addresses are known, which prove less.
func (p *page) doubledNode(e node.Event) {
	title, advice := p.doubled, p.doubledAdvice
	switch e.Reason {
	case node.ReasonAddresses:
		title, advice = p.doubledMaybe, p.doubledMaybeAdvice
	case node.ReasonSeq:
		advice = p.clonesAdvice
	}
	p.title(title)
	p.nodeID(e)
	p.field(p.addresses, p.code(e.Evidence, maxEvidenceChars))
	p.say(advice)
}

func (p *page) deafMonitor(e node.Event) {
	p.title(p.deaf)
	p.text(p.deafSpan, p.duration(e.Lasted), p.moment(e.Since.Time(), p.loc), p.nodes(e.Nodes))
	p.refusals(e.Refused)
	p.say(p.deafAdvice)
	p.link()
}

func (p *page) hearingMonitor(e node.Event) {
	p.title(p.hearing)
	p.text(p.hearingSpan, p.duration(e.Lasted), p.moment(e.Since.Time(), p.loc))
	p.refusals(e.Refused)
	if e.Nodes > 0 {
		p.text(p.hearingAdvice, p.marked(e.Nodes))
	}
}

func (p *page) stalledMonitor(e node.Event) {
	p.title(p.stalled)
	since := e.Since
	if since == 0 {
		since = e.At - node.Stamp(e.Lasted)
	}
	p.text(p.stalledSpan, p.duration(e.Lasted), p.moment(since.Time(), p.loc))
	p.say(p.stalledAdvice)
	p.link()
}

func (p *page) title(s string) {
	mark, words, _ := strings.Cut(s, " ")
	fmt.Fprintf(&p.b, "%s <b>%s</b>\n", mark, telegram.Escape(words))
}

// node says which node it is, and where.
func (p *page) node(e node.Event) {
	p.nodeID(e)
	p.field(p.ip, p.code(e.IP, maxShortChars))
}

func (p *page) nodeID(e node.Event) {
	p.b.WriteString(p.code(e.NodeID, maxIDChars))
	if e.Name != "" && e.Name != e.NodeID {
		p.b.WriteString(" (" + p.code(e.Name, maxNameChars) + ")")
	}
	p.b.WriteByte('\n')
}

// why says the reason in words where they are known; the code stays visible for searching.
func (p *page) why(e node.Event) {
	if e.To == node.Up || e.Reason == "" {
		return
	}
	code := p.code(e.Reason, maxShortChars)
	if words := p.reasonWords(e.Reason); words != "" {
		code = telegram.Escape(words) + " (" + code + ")"
	}
	p.field(p.reason, code)
	p.field(p.evidence, p.code(e.Evidence, maxEvidenceChars))
}

// refusals says what ingest refused, the most frequent first.
func (p *page) refusals(refused map[string]int) {
	codes := slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(refused[b], refused[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, code := range codes[:min(len(codes), 5)] {
		part := fmt.Sprintf("%d × %s", refused[code], telegram.Escape(clean(code, maxShortChars)))
		if words, ok := p.statuses[code]; ok {
			part += " (" + words + ")"
		}
		parts = append(parts, part)
	}
	p.field(p.refused, strings.Join(parts, ", "))
}

// times says when it happened, and when it was found where that is much later.
func (p *page) times(e node.Event, found time.Time) {
	at := e.At.Time()
	if found.IsZero() || found.Sub(at) <= late {
		p.field(p.time, p.moment(at, p.loc))
		return
	}
	p.field(p.happened, p.moment(at, p.loc))
	p.field(p.found, p.moment(found, p.loc))
}

// link leads to the page, once in each message.
func (p *page) link() {
	if !p.linked {
		p.field(p.more, telegram.Escape(p.publicURL))
	}
	p.linked = true
}

// field writes a line, or nothing when there is nothing to say. value is HTML.
func (p *page) field(label, value string) {
	if value != "" {
		fmt.Fprintf(&p.b, "%s: %s\n", label, value)
	}
}

// text writes a sentence with values in it; say, one without.
func (p *page) text(format string, args ...any) { p.say(fmt.Sprintf(format, args...)) }

func (p *page) say(sentence string) { p.b.WriteString(telegram.Escape(sentence) + "\n") }

// code shows a value from the wire: escaped, and without becoming a link or a mention.
func (p *page) code(s string, most int) string {
	s = clean(s, most)
	if s == "" {
		return ""
	}
	return "<code>" + telegram.Escape(s) + "</code>"
}

// clean keeps a value on one line and to its length: nothing from the wire may look like a line of ours.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), r == unicode.ReplacementChar:
			return ' '
		case unicode.Is(unicode.Cf, r): // direction overrides, invisible characters
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		s = strings.TrimSpace(string(r[:most-1])) + "…"
	}
	return s
}
