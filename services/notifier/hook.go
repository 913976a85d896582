package notifier

import (
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/webhook"
)

// hookMost is how many entries one notification to the webhook has at most; more are counted.
const hookMost = 500

// hookRenderer words tellings for the webhook: with codes, not words, and with everything there is.
func hookRenderer(page string) Renderer {
	return func(t Telling) (string, error) { return webhook.Render(hookNotification(t, page)) }
}

// hookNotification is a pure function.
func hookNotification(t Telling, page string) webhook.Notification {
	n := webhook.Notification{Kind: webhook.Alerts, At: t.At.Time(), Page: page}
	switch {
	case t.Summary != nil:
		n.Kind, n.Summary = webhook.Daily, hookSummary(*t.Summary)
		n.Digest = hookStates(t.Summary.Counts)
	case t.Still != nil:
		n.Kind = webhook.Reminder
		n.Digest = hookStates(t.Still.Counts)
		for _, f := range t.Still.Nodes {
			n.Alerts = append(n.Alerts, hookFailing(f, t.At))
		}
	case t.Entries != nil && len(t.Entries) <= hookMost:
		for _, e := range t.Entries {
			n.Alerts = append(n.Alerts, hookEntry(e))
		}
	default:
		n.Kind, n.Digest = webhook.Digest, hookDigest(*t.Digest)
		for _, a := range t.Digest.First {
			n.Alerts = append(n.Alerts, hookAlert(a))
		}
	}
	n.Suspect = t.OwnNetwork()
	return n
}

// hookEntry is what became of a node.
func hookEntry(e Entry) webhook.Alert {
	a := hookAlert(e.Alert)
	a.Back = e.Back
	if e.Alerts > 1 {
		a.Changes, a.First = e.Alerts, stampTime(e.First)
	}
	return a
}

func hookAlert(a nodestore.Alert) webhook.Alert {
	e := a.Event
	return webhook.Alert{
		ID: a.ID, Kind: string(e.Kind), NodeID: e.NodeID, Name: e.Name, IP: e.IP, Labels: hookLabels(e.Meta),
		From: string(e.From), To: string(e.To), Reason: e.Reason, Evidence: e.Evidence, Mark: a.Mark,
		At: e.At.Time(), Found: a.Found.UTC(), Since: stampTime(e.Since), LastedSec: seconds(e.Lasted),
		Nodes: e.Nodes, Refused: e.Refused, By: e.By,
	}
}

// hookFailing is a node that is still down. No event of its own says so.
func hookFailing(f nodestore.Failing, now node.Stamp) webhook.Alert {
	return webhook.Alert{
		Kind: string(node.Changed), NodeID: f.NodeID, Name: f.Name, IP: f.IP, Labels: hookLabels(f.Meta),
		To: string(f.State), Reason: f.Reason, At: f.Since.Time(), Since: stampTime(f.Incident),
		LastedSec: seconds(now.Since(f.Incident)),
	}
}

func hookDigest(d nodestore.Digest) *webhook.Counts {
	c := &webhook.Counts{Alerts: d.Alerts, Entries: d.Entries, States: make(map[string]int), Reasons: make(map[string]int)}
	for _, n := range d.Counts {
		switch {
		case n.Back:
			c.States["back"] += n.Entries
		case n.To != "":
			c.States[string(n.To)] += n.Entries
		default:
			c.States[string(n.Kind)] += n.Entries
		}
	}
	for _, r := range d.Reasons {
		c.Reasons[r.Reason] += r.Entries
	}
	return c
}

// hookStates counts nodes by state.
func hookStates(counts map[node.State]int) *webhook.Counts {
	c := &webhook.Counts{States: make(map[string]int)}
	for state, n := range counts {
		c.States[string(state)] = n
		c.Entries += n
	}
	return c
}

func hookSummary(s Summary) *webhook.Day {
	d := &webhook.Day{From: s.From.Time(), To: s.To.Time(), Uptime: s.Uptime}
	for _, n := range s.Worst {
		d.Worst = append(d.Worst, webhook.Uptime{NodeID: n.NodeID, Name: n.Name, Uptime: n.Uptime})
	}
	return d
}

// hookLabels are a node's labels by name; of one that stands twice the last counts.
func hookLabels(meta string) map[string]string {
	out := make(map[string]string)
	for _, label := range nodestore.Labels(meta) {
		k, v, _ := strings.Cut(label, "=")
		out[k] = v
	}
	return out
}

// stampTime is the zero time for no stamp.
func stampTime(s node.Stamp) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return s.Time()
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
