package notifier

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// remindEvery is how often the store is asked for nodes that are still down: it has to look at all nodes.
const remindEvery = time.Minute

// due is the latest reminder of an incident that is due, and when it became so: the nth, from 1; 0 for none yet. The
// last of the reminders repeats.
func (r Reminders) due(incident, now node.Stamp) (nth int64, at node.Stamp) {
	for i, d := range r {
		if now-incident >= node.Stamp(d) {
			nth, at = int64(i+1), incident+node.Stamp(d)
		}
	}
	if len(r) == 0 || nth < int64(len(r)) {
		return nth, at
	}
	last := node.Stamp(r[len(r)-1])
	again := (now - incident - last) / last
	return nth + int64(again), at + again*last
}

// remind decides whether a chat is reminded of a node now, and for the how-manieth time. What was told after a reminder
// became due has taken its place; of several that are due only the latest is told.
func remind(r Reminders, f nodestore.Failing, a audience, quiet silences, now time.Time) (nth int64, ok bool) {
	nth, at := r.due(f.Incident, stampOf(now))
	switch {
	case nth == 0 || nth <= f.Nth:
	case f.Told.IsZero() && !a.node(f.Meta):
	case !f.Told.IsZero() && !at.Time().After(f.Told):
	case quiet.of(f.NodeID, f.Meta):
	default:
		return nth, true
	}
	return 0, false
}

// listLines is how many entries a message lists at most; more are counted.
const listLines = 15

// reminding is what a chat is to be reminded of.
type reminding struct {
	Still
	reminders []nodestore.Reminder
}

func (r *reminding) add(f nodestore.Failing, nth int64) {
	r.reminders = append(r.reminders, nodestore.Reminder{NodeID: f.NodeID, Incident: f.Incident, Nth: nth})
	r.Counts[f.State]++
	if len(r.Nodes) < listLines {
		r.Nodes = append(r.Nodes, f)
	}
}

// draft is the notification that reminds.
func (r *reminding) draft(text string) nodestore.Draft {
	d := nodestore.Draft{Text: text, Reminders: r.reminders}
	if len(r.reminders) == 1 {
		f := r.Nodes[0]
		d.ReplyTo, d.NodeID, d.Incident = f.Message, f.NodeID, f.Incident
	}
	return d
}

// still finds the nodes that the chat is to be reminded of now.
func (t *teller) still(ctx context.Context, now time.Time) (reminding, error) {
	r := reminding{Still: Still{Counts: make(map[node.State]int)}}
	quiet := t.silences.now(now)
	err := t.o.Store.EachFailing(ctx, t.lease, stampOf(now.Add(-t.o.Reminders[0])), func(f nodestore.Failing) error {
		if nth, ok := remind(t.o.Reminders, f, t.audience, quiet, now); ok {
			r.add(f, nth)
		}
		return nil
	})
	return r, err
}

func stampOf(t time.Time) node.Stamp { return node.Stamp(t.UnixNano()) }
