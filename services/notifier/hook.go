package notifier

import (
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/webhook"
)

// hookMost is how many alerts one notification to the webhook tells: a few hundred kilobytes.
const hookMost = 500

// composeHook puts the waiting alerts into one notification for the webhook, as compose does for a chat. There must be
// at least one.
func composeHook(waiting []nodestore.Alert, now time.Time, page string) (draft, error) {
	n := webhook.Notification{Kind: webhook.Alerts, At: now.UTC(), Page: page}
	d := draft{oldest: waiting[0].Found}
	for _, a := range waiting[:min(len(waiting), hookMost)] {
		n.Alerts = append(n.Alerts, hookAlert(a))
		d.alerts = append(d.alerts, a.ID)
	}
	var err error
	d.text, err = webhook.Render(n)
	return d, err
}

// hookAlert is an alert as the webhook posts it. Unlike people it gets codes, not words, and everything there is.
func hookAlert(a nodestore.Alert) webhook.Alert {
	e := a.Event
	return webhook.Alert{
		ID: a.ID, Kind: string(e.Kind), NodeID: e.NodeID, Name: e.Name, IP: e.IP,
		From: string(e.From), To: string(e.To), Reason: e.Reason, Evidence: e.Evidence,
		At: e.At.Time(), Found: a.Found.UTC(), Since: stampTime(e.Since), LastedSec: int64(e.Lasted / time.Second),
		Labels: hookLabels(e.Meta), Nodes: e.Nodes, Refused: e.Refused, By: e.By,
	}
}

// hookLabels are a node's labels by name; of one that stands twice the last counts.
func hookLabels(meta string) map[string]string {
	out := make(map[string]string)
	for field := range strings.FieldsFuncSeq(meta, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		if k, v, ok := strings.Cut(field, "="); ok {
			out[k] = v
		}
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
