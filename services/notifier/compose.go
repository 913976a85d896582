package notifier

import (
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// Telling is all that one notification tells, before it is worded. One of its parts is set: alerts, reminders, or a
// summary.
type Telling struct {
	At node.Stamp // now
	// Digest counts the alerts. Entries are what became of each node, the important ones first; nil when there were too
	// many alerts to load.
	Digest  *nodestore.Digest
	Entries []Entry
	// Lost is how many nodes fell silent lately, of Nodes in all; 0 where few did.
	Lost, Nodes int

	Still   *Still
	Summary *Summary
}

// Still is the nodes that a chat is reminded of.
type Still struct {
	Nodes  []nodestore.Failing // the first of them
	Counts map[node.State]int  // of all
}

func (s Still) total() (n int) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Renderer words a telling for one chat. What it returns must fit what the chat's sender takes.
type Renderer func(Telling) (string, error)

// From so many newly lost nodes on, if they are more than half of all, the monitor's own network is suspect.
const (
	suspectLost   = 5
	suspectWithin = 5 * time.Minute
)

// OwnNetwork reports whether so many nodes fell silent together that the monitor's own network may be at fault.
func (t Telling) OwnNetwork() bool { return t.Lost >= suspectLost && 2*t.Lost > t.Nodes }

// html words a telling for Telegram: one entry whole, up to a screenful in a line each, more as a digest.
func (r *renderer) html(t Telling) (string, error) {
	switch {
	case t.Summary != nil:
		return r.summary(*t.Summary), nil
	case t.Still != nil:
		return r.reminder(*t.Still, t.At), nil
	case len(t.Entries) == 1:
		return r.render(t.Entries[0], t.At), nil
	case len(t.Entries) > 1 && len(t.Entries) <= listLines:
		if text := r.list(t); telegram.Units(telegram.PlainText(text)) <= telegram.MaxUnits {
			return text, nil
		}
	}
	return r.digest(t), nil
}

// gather makes a telling of waiting alerts, all of them. It is a pure function.
func gather(alerts []nodestore.Alert, now node.Stamp) Telling {
	entries := outcomes(alerts)
	d := digest(alerts, entries)
	return Telling{At: now, Digest: &d, Entries: entries}
}

// draftOf is the notification that tells alerts: what it binds, what it answers, whose failure it is.
func draftOf(t Telling, text string) nodestore.Draft {
	d := nodestore.Draft{Text: text, Alerts: t.Digest.Alerts, Last: t.Digest.Last}
	if len(t.Entries) == 1 {
		e := t.Entries[0]
		if e.Kind == node.Changed && e.To == node.Up || e.failing() && e.Known != "" {
			d.ReplyTo = e.ReplyTo
		}
		if e.failing() && e.Incident != 0 {
			d.NodeID, d.Incident = e.NodeID, e.Incident
		}
	}
	return d
}
