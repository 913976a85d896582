package notifier

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// In lists and digests values are shorter than in a message about one node.
const (
	lineIDChars   = 48
	lineNameChars = 32
	lineChars     = 40
)

// list words several entries, a line each, under a title that counts them.
func (r *renderer) list(t Telling) string {
	p := &page{renderer: r}
	p.lead(t)
	p.tally(t.Digest.Counts)
	p.monitor(t.Digest.Monitor)
	for _, e := range t.Entries {
		if e.NodeID != "" {
			p.line(e, t.At)
		}
	}
	p.stretch(t.Digest.From, t.Digest.To)
	return p.done()
}

// digest counts entries, names the first failures, and says where the others are.
func (r *renderer) digest(t Telling) string {
	p := &page{renderer: r}
	p.lead(t)
	p.tally(t.Digest.Counts)
	p.monitor(t.Digest.Monitor)
	shown := 0
	for _, c := range t.Digest.Reasons {
		shown += c.Entries
		if c.Reason == node.ReasonSilent { // the title says so
			continue
		}
		p.field(telegram.Escape(p.count(c.To, c.Entries)), p.shortReason(c.Reason))
	}
	failing := 0
	for _, c := range t.Digest.Counts {
		if c.To != node.Up && c.To != "" {
			failing += c.Entries
		}
	}
	if shown > 0 && shown < failing {
		p.say(p.number(failing-shown) + " " + p.others)
	}
	var names []string
	for _, a := range t.Digest.First {
		names = append(names, p.code(a.NodeID, lineIDChars))
	}
	p.field(p.first, strings.Join(names, ", "))
	p.say(p.record)
	p.link()
	p.stretch(t.Digest.From, t.Digest.To)
	return p.done()
}

// lead says what makes many failures at once suspect.
func (p *page) lead(t Telling) {
	if !t.OwnNetwork() {
		return
	}
	p.b.WriteString("⚠️ <b>" + telegram.Escape(fmt.Sprintf(p.ownNetwork, p.number(t.Lost), p.number(t.Nodes))) + "</b>\n")
}

// monitor says what happened to the monitor itself: all of it, since everything else hangs on it.
func (p *page) monitor(alerts []nodestore.Alert) {
	for _, a := range alerts {
		p.entry(Entry{Alert: a, Alerts: 1})
	}
}

// count is "3 DOWN".
func (p *page) count(s node.State, n int) string {
	if words, ok := p.counts[s]; ok {
		return words(n)
	}
	return p.countOther(n)
}

// tally is the title: how many entries there are of each kind, the important ones first.
func (p *page) tally(counts []nodestore.DigestCount) {
	var n struct{ lost, down, degraded, up, joined, back, other int }
	for _, c := range counts {
		at := &n.other
		switch {
		case c.Back:
			at = &n.back
		case c.Kind == node.Joined && c.To == node.Up:
			at = &n.joined
		case c.Kind != node.Joined && c.Kind != node.Changed:
		case c.To == node.Lost:
			at = &n.lost
		case c.To == node.Down:
			at = &n.down
		case c.To == node.Degraded:
			at = &n.degraded
		case c.To == node.Up:
			at = &n.up
		}
		*at += c.Entries
	}
	var parts []string
	part := func(n int, words func(int) string) {
		if n > 0 {
			parts = append(parts, words(n))
		}
	}
	part(n.down, p.counts[node.Down])
	part(n.lost, p.counts[node.Lost])
	part(n.degraded, p.counts[node.Degraded])
	part(n.up, p.counts[node.Up])
	part(n.joined, p.countNew)
	part(n.back, p.countBack)
	if len(parts) == 0 {
		part(n.other, p.countAlerts)
	} else {
		part(n.other, p.countOther)
	}
	mark := "✅"
	switch {
	case n.down+n.lost > 0:
		mark = "❌"
	case n.degraded+n.other > 0:
		mark = "⚠️"
	}
	p.title(mark + " " + fmt.Sprintf(p.listTitle, strings.Join(parts, ", ")))
}

// line is one entry in a line: its mark, which node, what it is, and why.
func (p *page) line(e Entry, now node.Stamp) {
	mark, _, _ := strings.Cut(p.titleOf(e), " ")
	p.b.WriteString(mark + " ")
	p.b.WriteString(p.code(e.NodeID, lineIDChars))
	if e.Name != "" && e.Name != e.NodeID {
		p.b.WriteString(" (" + p.code(e.Name, lineNameChars) + ")")
	}
	p.b.WriteString(" " + telegram.Escape(p.became(e, now)))
	if why := p.whyShort(e); why != "" {
		p.b.WriteString(": " + why)
	}
	p.b.WriteByte('\n')
}

// titleOf is the title of an entry about a node, for its mark.
func (p *page) titleOf(e Entry) string {
	states := map[node.State]string{node.Up: p.up, node.Degraded: p.degraded, node.Down: p.down, node.Lost: p.lost}
	switch {
	case e.Kind == node.Changed && (e.Mark == nodestore.Flapping || e.Mark == nodestore.Flapped):
		return p.flapping
	case e.Kind == node.Joined && e.Since != 0:
		return p.returned
	case e.Kind == node.Changed, e.Kind == node.Joined:
		return cmp.Or(states[e.To], p.unknown)
	}
	return p.doubled // what else there is of nodes is a warning, too
}

// became says what the node is now, and what was before.
func (p *page) became(e Entry, now node.Stamp) string {
	from, to := p.clock(e.First.Time(), p.loc), p.clock(e.At.Time(), p.loc)
	short := p.short[e.To]
	switch {
	case e.Kind == node.Doubled:
		return p.doubledLine
	case e.Kind == node.Joined && e.Since != 0:
		return p.returnedLine
	case e.Kind == node.Joined:
		return fmt.Sprintf(p.newLine, short)
	case e.Mark == nodestore.Flapped:
		return fmt.Sprintf(p.flappedLine, p.changes(e.Alerts), from, to, short)
	case e.Mark == nodestore.Flapping && e.Alerts == 1:
		return fmt.Sprintf(p.flapsNow, short)
	case e.Mark == nodestore.Flapping:
		return fmt.Sprintf(p.flappingLine, p.changes(e.Alerts), from, to, short)
	case e.Back:
		return fmt.Sprintf(p.wasDown, p.duration(e.Lasted)) + p.often(e)
	case e.To == node.Up && e.Since != 0:
		return fmt.Sprintf(p.upAfter, p.duration(e.Lasted)) + p.often(e)
	case e.Known == e.To && e.Alerts > 1:
		return fmt.Sprintf(p.again, short) + p.often(e)
	case e.Mark == nodestore.Silenced && e.Incident != 0:
		return fmt.Sprintf(p.stillSince, short, p.duration(now.Since(e.Incident))) + p.often(e)
	}
	return short + p.often(e)
}

// often says how often a node changed, if that is more than down and up.
func (p *page) often(e Entry) string {
	if e.Alerts <= 2 {
		return ""
	}
	return fmt.Sprintf(", "+p.changesSpan, p.changes(e.Alerts), p.clock(e.First.Time(), p.loc), p.clock(e.At.Time(), p.loc))
}

// whyShort is the reason in words, or its code, as HTML.
func (p *page) whyShort(e Entry) string {
	switch {
	case !e.failing():
		return ""
	case e.To == node.Lost && e.Since != 0 && e.Lasted > 0:
		return telegram.Escape(fmt.Sprintf(p.silentLine, p.duration(e.Lasted)))
	}
	return p.shortReason(e.Reason)
}

func (p *page) shortReason(code string) string {
	return cmp.Or(telegram.Escape(p.reasonWords(code)), p.code(code, lineChars))
}

// stretch says when it happened.
func (p *page) stretch(from, to node.Stamp) {
	p.field(p.time, p.catalogue.stretch(from.Time(), to.Time(), p.loc))
}
