package bot

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// Buttons are those under a message that tells a node's failure, before anybody pressed one. language is "en" or "ru".
func Buttons(language string, notification int64) [][]telegram.Button {
	w := catalogue[language]
	return keyboard(notification, w.acknowledge, w.hush)
}

func keyboard(notification int64, acknowledge, hush string) [][]telegram.Button {
	id := strconv.FormatInt(notification, 10)
	return [][]telegram.Button{{
		{Text: acknowledge, Data: dataAcknowledge + id},
		{Text: hush, Data: dataSilence + id},
	}}
}

// buttons are those under the message as things stand.
func (a answerer) buttons(f facts, now time.Time) [][]telegram.Button {
	acknowledge, hush := a.words.acknowledge, a.words.hush
	n := f.notification
	if ack, ok := f.acknowledged[n.NodeID]; ok && ack.Incident == n.Incident {
		acknowledge = fmt.Sprintf(a.hasAcknowledged, ack.By)
	}
	if s := a.covering(f.silences, f.ofNotification(), now); s != nil {
		hush = fmt.Sprintf(a.hasHushed, a.Moment(s.Until), s.By)
	}
	return keyboard(n.ID, acknowledge, hush)
}

// ofNotification is the node that the notification is about, as it is now.
func (f facts) ofNotification() node.Node {
	if len(f.nodes) == 1 {
		return f.nodes[0]
	}
	return node.Node{ID: f.notification.NodeID}
}

// over reports whether the incident that was told is over, or its node is gone.
func (f facts) over() bool {
	return f.notification.ID == 0 || f.ofNotification().Incident != f.notification.Incident
}

func (a answerer) acknowledge(c command, f facts, _ time.Time) plan {
	n := f.notification
	if f.over() {
		return plan{toast: a.itsOver}
	}
	if ack, ok := f.acknowledged[n.NodeID]; ok && ack.Incident == n.Incident && ack.By != c.by {
		return plan{toast: a.alreadyAcknowledged(ack.By), buttons: true}
	}
	return plan{
		acknowledge: &nodestore.Acknowledgement{NodeID: n.NodeID, Incident: n.Incident, By: c.by},
		toast:       a.acknowledged, buttons: true,
	}
}

func (a answerer) hush(c command, f facts, now time.Time) plan {
	if f.notification.ID == 0 {
		return plan{toast: a.itsOver}
	}
	if s := a.covering(f.silences, f.ofNotification(), now); s != nil {
		return plan{toast: fmt.Sprintf(a.alreadyHushed, a.Moment(s.Until)), buttons: true}
	}
	s := &nodestore.Silence{Scope: nodestore.ScopeNode, Value: f.notification.NodeID, By: c.by, Note: note(c),
		From: now, Until: now.Add(hushSpan)}
	return plan{silence: s, toast: fmt.Sprintf(a.hushed, a.Moment(s.Until)), buttons: true}
}

func (a answerer) alreadyAcknowledged(by string) string { return fmt.Sprintf(a.alreadyYours, by) }
