package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Version is that of the JSON. Fields may be added to a version; none changes its meaning or goes away.
const Version = 1

// Kind says what a notification tells.
type Kind string

// The kinds.
const (
	Alerts   Kind = "alerts"   // events: Alerts has all of them
	Digest   Kind = "digest"   // many events: Digest counts them, Alerts has the first
	Reminder Kind = "reminder" // nodes that are still down: Alerts has their failures
	Summary  Kind = "summary"  // of a day: Digest counts nodes
	Test     Kind = "test"     // nothing happened
)

// Notification is one JSON object that is posted. Times are UTC.
type Notification struct {
	Version int       `json:"version"`
	ID      string    `json:"id"` // the same each time it is posted; of another notification it differs
	Kind    Kind      `json:"kind"`
	At      time.Time `json:"at"` // when it was written
	Alerts  []Alert   `json:"alerts"`
	Digest  *Counts   `json:"digest,omitempty"`
	Text    string    `json:"text,omitempty"` // what happened, in the monitor's language, where the alerts do not say all
	Page    string    `json:"page,omitempty"` // the monitor's page
}

// Alert is one event. Fields that say nothing are left out, but for those that every alert has.
type Alert struct {
	ID     string            `json:"id"`   // of the event: for ever the same
	Kind   string            `json:"kind"` // joined, changed, deleted, doubled; of the monitor: blind, deaf, hearing, stalled, outdated
	NodeID string            `json:"node_id,omitempty"`
	Name   string            `json:"name,omitempty"`
	IP     string            `json:"ip,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	From   string            `json:"from,omitempty"` // up, degraded, down or lost
	To     string            `json:"to,omitempty"`

	Reason   string `json:"reason,omitempty"` // a code, such as port_closed_3000
	Evidence string `json:"evidence,omitempty"`

	At        time.Time `json:"at"`                  // when it happened
	Found     time.Time `json:"found,omitzero"`      // when the monitor found out
	Since     time.Time `json:"since,omitzero"`      // where lasted_sec counts from
	LastedSec int64     `json:"lasted_sec,omitzero"` // of an incident, a silence, a span

	Changes int            `json:"changes,omitempty"` // how often the node changed, when this is the last of several changes
	Nodes   int            `json:"nodes,omitempty"`   // of a deaf monitor: how many nodes it heard before
	Refused map[string]int `json:"refused,omitempty"` // likewise: requests that were refused since, by status
	By      string         `json:"by,omitempty"`      // who deleted the node
}

// Counts are those of a digest or a summary.
type Counts struct {
	Alerts  int            `json:"alerts"`
	Nodes   int            `json:"nodes"`
	States  map[string]int `json:"states"`  // nodes by the state they are in now
	Reasons map[string]int `json:"reasons"` // of nodes that are not up
	// Suspect: so many nodes fell silent together that the monitor's own network may be at fault.
	Suspect bool `json:"suspect,omitempty"`
}

// Render is the notification as it is posted, and as it is frozen until then. It gives it its version and its id: that
// of its content, so that it does not depend on any counter that a database could give twice. At tells two reminders
// apart.
func Render(n Notification) (string, error) {
	n.Version, n.ID = Version, ""
	if n.Alerts == nil {
		n.Alerts = []Alert{}
	}
	content, err := encode(n)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(content))
	n.ID = hex.EncodeToString(sum[:16])
	return encode(n)
}

// encode leaves <, > and & as they are: what is signed shall be readable, too.
func encode(n Notification) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(n); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
