package bot

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// tooLate is after how long a command that was not seen is not run any more: who sent it may have done otherwise.
const tooLate = 15 * time.Minute

// staleAfter is how old the last commit may be before answers say so.
const staleAfter = 30 * time.Second

// hushSpan is the silence of the button.
const hushSpan = time.Hour

// Format shows values as notifications do.
type Format struct {
	Duration func(time.Duration) string
	Moment   func(time.Time) string
	Reason   func(code string) string            // what a code means, "" for an unknown one
	Code     func(value string, most int) string // HTML of a value from the wire, "" for none
	// Covers reports whether a silence is about a node.
	Covers func(s nodestore.Silence, nodeID, meta string) bool
}

// plan is what follows from a command: changes, then an answer.
type plan struct {
	silence     *nodestore.Silence // to be added, unless one with its note is there
	end         []int64            // silences to be ended
	acknowledge *nodestore.Acknowledgement

	html  string // an answer in the chat, "" for none
	toast string // shown to who pressed a button

	buttons bool // those under the message are to be put right
}

// answerer words answers. It decides and does nothing.
type answerer struct {
	*words
	Format
	page string // PUBLIC_URL
}

// decide is a pure function.
func (a answerer) decide(c command, f facts, now time.Time) plan {
	if age := now.Sub(c.at); c.pressed == "" && age > tooLate && c.name != "help" {
		return plan{html: telegram.Escape(fmt.Sprintf(a.tooLate, a.Duration(age)))}
	}
	switch c.name {
	case "status":
		return plan{html: a.status(f, now)}
	case "down":
		return plan{html: a.down(f, now)}
	case "node":
		return plan{html: a.node(c, f, now)}
	case "silence":
		return a.silence(c, f, now)
	case "unsilence":
		return a.unsilence(c, f)
	case "acknowledge":
		return a.acknowledge(c, f, now)
	case "hush":
		return a.hush(c, f, now)
	}
	return plan{html: a.help}
}

func (a answerer) status(f facts, now time.Time) string {
	lines := []string{a.countLine(f.status)}
	if f.status.CommittedAge > staleAfter {
		lines = append(lines, telegram.Escape(fmt.Sprintf(a.stale, a.Duration(f.status.CommittedAge))))
	}
	if n := len(f.silences); n > 0 {
		lines = append(lines, telegram.Escape(fmt.Sprintf(a.silences, n)))
		lines = append(lines, a.silenceLines(f.silences)...)
	}
	if len(f.nodes) == 0 {
		lines = append(lines, telegram.Escape(a.nothing))
	}
	return a.list(lines, a.failing(f, now), failing(f.status))
}

func (a answerer) down(f facts, now time.Time) string {
	if len(f.nodes) == 0 {
		return telegram.Escape(a.nothing)
	}
	return a.list(nil, a.failing(f, now), failing(f.status))
}

func (a answerer) countLine(s nodestore.Status) string {
	all := 0
	for _, n := range s.Counts {
		all += n
	}
	return "<b>" + telegram.Escape(fmt.Sprintf(a.counts, all, s.Counts[node.Up], s.Counts[node.Degraded], s.Counts[node.Down], s.Counts[node.Lost])) + "</b>"
}

func failing(s nodestore.Status) int { return s.Counts[node.Down] + s.Counts[node.Lost] }

// failing is a line for each node.
func (a answerer) failing(f facts, now time.Time) []string {
	lines := make([]string, len(f.nodes))
	for i, n := range f.nodes {
		lines[i] = a.nodeLine(n, f, now)
	}
	return lines
}

func (a answerer) nodeLine(n node.Node, f facts, now time.Time) string {
	line := a.title(n) + " " + telegram.Escape(a.sinceWords(n, now))
	if words := a.why(n); words != "" {
		line += ", " + words
	}
	if by, ok := f.acknowledged[n.ID]; ok {
		line += ", ✓ " + a.Code(by.By, 64)
	}
	return line
}

func (a answerer) title(n node.Node) string {
	return a.marks[n.State] + " " + a.name(n) + " " + telegram.Escape(a.states[n.State])
}

func (a answerer) name(n node.Node) string {
	if n.Name != "" && n.Name != n.ID {
		return a.Code(n.ID, 128) + " (" + a.Code(n.Name, 64) + ")"
	}
	return a.Code(n.ID, 128)
}

// sinceWords counts a failure from its incident's beginning, anything else from the last change.
func (a answerer) sinceWords(n node.Node, now time.Time) string {
	since := n.Since
	if !n.State.Serving() && n.Incident != 0 {
		since = n.Incident
	}
	return fmt.Sprintf(a.since, a.Moment(since.Time()), a.Duration(now.Sub(since.Time())))
}

func (a answerer) why(n node.Node) string {
	if n.State == node.Up || n.Reason == "" {
		return ""
	}
	if words := a.Reason(n.Reason); words != "" {
		return telegram.Escape(words)
	}
	return a.Code(n.Reason, 64)
}

// list joins lines to a message that fits, of which it says how many more there are, and the page where they all are.
func (a answerer) list(head, lines []string, all int) string {
	const end = 300 // units that the end of the message may take
	var b strings.Builder
	left := telegram.MaxUnits - end
	write := func(line string) bool {
		left -= telegram.Units(telegram.PlainText(line)) + 1
		if left < 0 {
			return false
		}
		b.WriteString(line + "\n")
		return true
	}
	for _, line := range head {
		write(line)
	}
	shown := 0
	for _, line := range lines {
		if !write(line) {
			break
		}
		shown++
	}
	if more := max(all, len(lines)) - shown; more > 0 {
		b.WriteString(telegram.Escape(fmt.Sprintf(a.more, more)) + "\n")
	}
	if a.page != "" && len(a.page) < end/2 {
		b.WriteString(telegram.Escape(a.words.page+": "+a.page) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (a answerer) node(c command, f facts, now time.Time) string {
	switch {
	case c.target == "":
		return telegram.Escape(a.whichNode)
	case len(f.nodes) == 0:
		return fmt.Sprintf(telegram.Escape(a.noNode), a.Code(c.target, 128))
	case len(f.nodes) > 1:
		lines := make([]string, len(f.nodes))
		for i, n := range f.nodes {
			lines[i] = a.title(n)
		}
		return a.list([]string{fmt.Sprintf(telegram.Escape(a.several), a.Code(c.target, 128))}, lines[:min(len(lines), mostInStatus)], len(lines))
	}
	n := f.nodes[0]
	lines := []string{a.title(n) + " " + telegram.Escape(a.sinceWords(n, now))}
	field := func(label, html string) {
		if html != "" {
			lines = append(lines, telegram.Escape(label)+": "+html)
		}
	}
	field(a.reason, a.why(n))
	if n.State != node.Up {
		field(a.evidence, a.Code(n.Evidence, 300))
	}
	field(a.ip, a.Code(n.IP, 64))
	field(a.labels, a.Code(n.Meta, 200))
	if n.Heard != 0 {
		field(a.heard, telegram.Escape(a.Moment(n.Heard.Time())))
	}
	if ack, ok := f.acknowledged[n.ID]; ok {
		field(a.acknowledgedBy, a.Code(ack.By, 64))
	}
	if s := a.covering(f.silences, n, now); s != nil {
		field(a.silencedUntil, telegram.Escape(a.Moment(s.Until))+", "+a.Code(s.By, 64))
	}
	return strings.Join(lines, "\n")
}

// covering is the silence that holds for a node now and ends last, or nil.
func (a answerer) covering(all []nodestore.Silence, n node.Node, now time.Time) (last *nodestore.Silence) {
	for i, s := range all {
		if s.Ended.IsZero() && !now.Before(s.From) && now.Before(s.Until) && a.Covers(s, n.ID, n.Meta) &&
			(last == nil || s.Until.After(last.Until)) {
			last = &all[i]
		}
	}
	return last
}

// scope is what a silence of this target would cover. A node's id may hold "=", so it is looked for first.
func scope(target string, f facts) (scope, value string, ok bool) {
	key, value, label := strings.Cut(target, "=")
	switch {
	case strings.EqualFold(target, "all"):
		return nodestore.ScopeAll, "", true
	case f.exact:
		return nodestore.ScopeNode, target, true
	case label && key != "" && value != "" && !strings.ContainsAny(target, " ,;"):
		return nodestore.ScopeLabel, target, true
	}
	return "", "", false
}

func (a answerer) silence(c command, f facts, now time.Time) plan {
	if c.target == "" || c.span == "" {
		return plan{html: telegram.Escape(a.whichSilence)}
	}
	span, ok := parseSpan(c.span)
	if !ok {
		return plan{html: fmt.Sprintf(telegram.Escape(a.badSpan), a.Code(c.span, 64))}
	}
	kind, value, ok := scope(c.target, f)
	if !ok {
		return plan{html: fmt.Sprintf(telegram.Escape(a.noNode), a.Code(c.target, 128)) + " " + telegram.Escape(a.noLabel)}
	}
	s := &nodestore.Silence{Scope: kind, Value: value, By: c.by, Note: note(c), From: now, Until: now.Add(span)}
	p := plan{silence: s, html: fmt.Sprintf(telegram.Escape(a.silenced), a.Code(value, 128), telegram.Escape(a.Moment(s.Until)), a.Code(c.by, 64))}
	if kind == nodestore.ScopeAll {
		p.html = fmt.Sprintf(telegram.Escape(a.silencedAll), telegram.Escape(a.Moment(s.Until)), a.Code(c.by, 64))
	}
	if kind == nodestore.ScopeLabel && !slices.ContainsFunc(f.nodes, func(n node.Node) bool { return a.Covers(*s, n.ID, n.Meta) }) {
		p.html += " " + telegram.Escape(a.labelEmpty)
	}
	return p
}

// note tells a silence from that of any other command, so that none is added twice.
func note(c command) string {
	return "Telegram, update " + strconv.FormatInt(c.update, 10)
}

func (a answerer) unsilence(c command, f facts) plan {
	var p plan
	for _, s := range f.silences {
		if s.Ended.IsZero() && (s.Scope == nodestore.ScopeAll && strings.EqualFold(c.target, "all") ||
			s.Scope != nodestore.ScopeAll && s.Value == c.target) {
			p.end = append(p.end, s.ID)
		}
	}
	what := a.Code(c.target, 128)
	if strings.EqualFold(c.target, "all") {
		what = telegram.Escape(a.everything)
	}
	switch {
	case len(p.end) > 0:
		p.html = fmt.Sprintf(telegram.Escape(a.unsilenced), what)
	case c.target == "":
		p.html = a.list([]string{telegram.Escape(fmt.Sprintf(a.silences, len(f.silences)))}, a.silenceLines(f.silences), 0)
	default:
		p.html = a.list([]string{fmt.Sprintf(telegram.Escape(a.notSilenced), what)}, a.silenceLines(f.silences), 0)
	}
	return p
}

func (a answerer) silenceLines(all []nodestore.Silence) []string {
	var lines []string
	for _, s := range all[:min(len(all), mostInStatus)] {
		what := a.Code(s.Value, 128)
		if s.Scope == nodestore.ScopeAll {
			what = telegram.Escape(a.everything)
		}
		lines = append(lines, fmt.Sprintf(telegram.Escape(a.silenceLine), what, telegram.Escape(a.Moment(s.Until)), a.Code(s.By, 64)))
	}
	return lines
}

func isNotFound(err error) bool { return errors.Is(err, nodestore.ErrNotFound) }
