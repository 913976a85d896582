package notifier

import (
	"fmt"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// reminder words what is still down: one node whole, several in a line each, many counted.
func (r *renderer) reminder(s Still, now node.Stamp) string {
	p := &page{renderer: r}
	if len(s.Nodes) == 1 && s.total() == 1 {
		p.stillNode(s.Nodes[0], now)
		return p.done()
	}
	var parts []string
	for _, state := range []node.State{node.Down, node.Lost} {
		if n := s.Counts[state]; n > 0 {
			parts = append(parts, p.count(state, n))
		}
	}
	p.title(fmt.Sprintf(p.remind, strings.Join(parts, ", ")))
	head := p.b.String()
	if s.total() <= listLines {
		for _, f := range s.Nodes {
			p.stillLine(f, now)
		}
		p.field(p.time, p.moment(now.Time(), p.loc))
		if telegram.Units(telegram.PlainText(p.done())) <= telegram.MaxUnits {
			return p.done()
		}
	}
	p.b.Reset()
	p.b.WriteString(head)
	var names []string
	for _, f := range s.Nodes[:min(len(s.Nodes), digestNames)] {
		names = append(names, p.code(f.NodeID, lineIDChars))
	}
	p.field(p.first, strings.Join(names, ", "))
	p.link()
	p.field(p.time, p.moment(now.Time(), p.loc))
	return p.done()
}

func (p *page) stillNode(f nodestore.Failing, at node.Stamp) {
	p.title(p.still[f.State])
	p.node(node.Event{NodeID: f.NodeID, Name: f.Name, IP: f.IP})
	p.why(node.Event{To: f.State, Reason: f.Reason})
	p.field(p.since, p.sinceWhen(f.Incident, at))
}

func (p *page) stillLine(f nodestore.Failing, at node.Stamp) {
	p.b.WriteString("⏰ " + p.code(f.NodeID, lineIDChars))
	if f.Name != "" && f.Name != f.NodeID {
		p.b.WriteString(" (" + p.code(f.Name, lineNameChars) + ")")
	}
	p.b.WriteString(" " + telegram.Escape(fmt.Sprintf(p.stillSince, p.short[f.State], p.duration(at.Since(f.Incident)))))
	if f.Reason != "" {
		p.b.WriteString(": " + p.shortReason(f.Reason))
	}
	p.b.WriteByte('\n')
}

// summary words how nodes did during the last day.
func (r *renderer) summary(s Summary) string {
	p := &page{renderer: r}
	p.title(p.summaryTitle)
	var parts []string
	for _, state := range []node.State{node.Up, node.Degraded, node.Down, node.Lost} {
		if n := s.Counts[state]; n > 0 {
			parts = append(parts, p.count(state, n))
		}
	}
	p.field(p.total, telegram.Escape(strings.Join(parts, ", ")))
	p.field(p.uptime, p.percent(s.Uptime))
	switch {
	case len(s.Worst) > 0:
		p.b.WriteString(p.worst + ":\n")
	case s.Counts[node.Down]+s.Counts[node.Lost] == 0: // a node may be down for a time that nobody could see
		p.say(p.allDay)
	}
	for _, w := range s.Worst {
		p.b.WriteString(p.code(w.NodeID, lineIDChars) + " " + p.percent(w.Uptime) + "\n")
	}
	p.link()
	p.stretch(s.From, s.To)
	return p.done()
}

// percent never says 100 of what is less.
func (p *page) percent(share float64) string {
	hundredths := int(share * 10000)
	if share < 1 {
		hundredths = min(hundredths, 9999)
	}
	return fmt.Sprintf("%d%s%02d %%", hundredths/100, p.decimal, hundredths%100)
}
