package notifier

import (
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// maxAlerts is how many alerts one message tells at most.
const maxAlerts = 20

// draft is a notification before it is frozen.
type draft struct {
	text    string   // HTML
	replyTo int64    // 0 for none
	alerts  []string // ids of the alerts that it tells
	oldest  time.Time
}

// compose puts the first of the waiting alerts into one message, as many as fit, in their order. There must be at
// least one. A message is cut between alerts only.
func compose(waiting []nodestore.Alert, render func(nodestore.Alert) string) draft {
	const separator = "\n\n"
	d := draft{oldest: waiting[0].Found}
	var parts []string
	left := telegram.MaxUnits
	for _, a := range waiting[:min(len(waiting), maxAlerts)] {
		part := render(a)
		size := telegram.Units(telegram.PlainText(part))
		if len(parts) > 0 && size+len(separator) > left {
			break
		}
		left -= size + len(separator)
		parts = append(parts, part)
		d.alerts = append(d.alerts, a.ID)
	}
	if len(parts) == 1 {
		d.replyTo = waiting[0].ReplyTo
	}
	d.text = strings.Join(parts, separator)
	return d
}
