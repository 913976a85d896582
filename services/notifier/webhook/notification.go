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
	Daily    Kind = "summary"  // of a day: Digest counts nodes by the state they are in, Summary has the rest
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
	Summary *Day      `json:"summary,omitempty"`
	// Suspect: so many nodes fell silent together that the monitor's own network may be at fault.
	Suspect bool   `json:"suspect,omitempty"`
	Text    string `json:"text,omitempty"` // what happened, in the monitor's language, where the alerts do not say all
	Page    string `json:"page,omitempty"` // the monitor's page
}

// Alert is one event. Fields that say nothing are left out, but for those that every alert has.
type Alert struct {
	ID     string            `json:"id,omitempty"` // of the event: for ever the same; none in a reminder
	Kind   string            `json:"kind"`         // joined, changed, deleted, doubled; of the monitor: blind, deaf, hearing, stalled, outdated
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

	// Changes is how many alerts this stands for, the last of them, when it is more than one; First is when the first was.
	Changes int       `json:"changes,omitempty"`
	First   time.Time `json:"first,omitzero"`
	Back    bool      `json:"back,omitempty"` // it is up again, and its failure was not told
	Mark    string    `json:"mark,omitempty"` // flapping: its next changes are summed up; flapped: this is such a sum; silenced: it was

	Nodes   int            `json:"nodes,omitempty"`   // of a deaf monitor: how many nodes it heard before
	Refused map[string]int `json:"refused,omitempty"` // likewise: requests that were refused since, by status
	By      string         `json:"by,omitempty"`      // who deleted the node
}

// Counts are those of a digest or a summary.
type Counts struct {
	Alerts  int            `json:"alerts,omitempty"`  // that are told by it
	Entries int            `json:"entries"`           // nodes and, of a digest, kinds of monitor events
	States  map[string]int `json:"states"`            // entries by state; "back" is up again, not told of meanwhile; of the monitor by kind
	Reasons map[string]int `json:"reasons,omitempty"` // of nodes that are not up, the most frequent ones
}

// Day is how nodes did during a day.
type Day struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Uptime float64   `json:"uptime"` // of all nodes, from 0 to 1, without what the monitor could not see
	Worst  []Uptime  `json:"worst,omitempty"`
}

// Uptime is how one node did.
type Uptime struct {
	NodeID string  `json:"node_id"`
	Name   string  `json:"name,omitempty"`
	Uptime float64 `json:"uptime"`
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
