// Package node decides what state a node is in. It is a pure fold over the heartbeat stream: no I/O, no wall
// clock, no randomness, so the same messages always give the same events with the same ids.
package node

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// State is what a node is, as far as the monitor has observed.
type State string

// The states. Up, Degraded and Down are the agent's word; Lost is the monitor's: nothing was heard for too long.
const (
	Up       State = "up"
	Degraded State = "degraded"
	Down     State = "down"
	Lost     State = "lost"
)

// Serving reports whether the node does its work, be it badly.
func (s State) Serving() bool { return s == Up || s == Degraded }

// Reasons that the monitor gives itself; all others come from agents.
const (
	ReasonReported      = "reported"       // the agent said DOWN without a reason
	ReasonUnknownStatus = "unknown_status" // the agent's status is no word we know
	ReasonSilent        = "silent"         // nothing heard for longer than the threshold
	ReasonDeaf          = "deaf"           // nothing heard from anybody: the front door is as suspect as the node
)

// Stamp is the JetStream time of a message in Unix nanoseconds. It is the server's wall clock and can step:
// it is for people, history and the observation clock, never compared with another clock. Zero is no stamp.
type Stamp int64

// Time is the stamp in UTC.
func (s Stamp) Time() time.Time { return time.Unix(0, int64(s)).UTC() }

// Since is the time from t to s, never negative: people are not told of negative spans.
func (s Stamp) Since(t Stamp) time.Duration {
	if t == 0 || s < t {
		return 0
	}
	return time.Duration(s - t)
}

// Node is all that is kept of one node. Durations named W are readings of the observation clock.
type Node struct {
	ID       string
	Name     string // display name, "" for none
	IP, Meta string
	State    State
	Reason   string // why it is not up
	Evidence string
	Told     State // the last state that was worth telling; see quiet

	Since    Stamp         // when State was entered
	Incident Stamp         // when it left up; zero while up
	Joined   Stamp         // when it was first heard
	Heard    Stamp         // when it was last heard
	HeardW   time.Duration // likewise

	Threshold time.Duration // its own, 0 for the default
	Interval  time.Duration // between its agent's heartbeats, 0 for unknown
	BootID    string
	Seq       int64
	Senders   string // JSON, what is remembered of several senders; "" while there is one; see Doubled

	AgentVersion, OS, Arch string
	Metrics, Workload      string // JSON objects as the agent sent them, or ""
}

// Heartbeat is one report about one node, already checked by ingest.
type Heartbeat struct {
	NodeID, IP, Meta, Status string
	Reason, Evidence         string
	Interval                 time.Duration
	BootID                   string
	Seq                      int64
	AgentVersion, OS, Arch   string
	Metrics, Workload        string
	Annotations              []Annotation // their NodeID and Heard are not set
}

// Annotation is what an agent tells later, with its own time, because it could not at the time. It is kept beside the
// node and changes nothing about it.
type Annotation struct {
	NodeID                   string
	At                       Stamp // by the agent's clock, which nobody vouches for
	Status, Reason, Evidence string
	Heard                    Stamp // of the message that brought it
}

// Message is one message of the stream: a batch, or a command when Command is set. An empty batch moves the clock alone.
type Message struct {
	Seq        uint64
	Stamp      Stamp
	Heartbeats []Heartbeat
	Refused    map[string]int // requests that the publishing ingest refused since its last batch, by status
	Unsure     bool           // the publishing ingest does not know whether it could be heard
	Command    *Command
}

// Command changes one node, or the settings, in the order of the stream. At most one of its actions is set.
type Command struct {
	NodeID    string
	By        string
	Delete    bool
	Name      *string
	Threshold *time.Duration
	Import    []Imported
	Settings  *Settings
}

// Imported is a node that another monitor watched before.
type Imported struct {
	NodeID, IP, Meta string
	State            State // as people know it; it is not told again
	Heard            Stamp // when the other monitor heard it last, by that monitor's clock, which nobody vouches for
}

// Settings are the parts of the configuration that decide; they reach the fold through the stream only.
type Settings struct {
	Threshold time.Duration `json:"threshold"` // of observed silence, for nodes without one of their own
	MaxNodes  int           `json:"max_nodes"` // unknown nodes beyond it are counted, not stored
}

// Kind says what an event is about.
type Kind string

// Joined, Changed, Deleted and Doubled are about a node; the others are monitor events.
const (
	Joined  Kind = "joined"
	Changed Kind = "changed"
	Deleted Kind = "deleted"
	Doubled Kind = "doubled" // two senders use its id by turns; the evidence is their addresses
	Blind   Kind = "blind"   // a span in which the monitor could not have heard, now over
	Deaf    Kind = "deaf"    // nothing reaches ingest though it runs
	Hearing Kind = "hearing" // the deaf span is over
	Stalled Kind = "stalled" // no message reached the evaluator for 30 s; made by the evaluator, not by the fold
	// Outdated: a message was written by a newer program than the evaluator; made by it, too.
	Outdated Kind = "outdated"
)

// EventID orders events: by stream epoch, sequence and the ordinal within the message.
type EventID struct {
	Epoch     int64
	Partition int
	Seq       uint64
	Ordinal   int
}

// String is the id as stored and told: epoch:partition:sequence:ordinal.
func (id EventID) String() string {
	b := strconv.AppendInt(make([]byte, 0, 32), id.Epoch, 10)
	b = strconv.AppendInt(append(b, ':'), int64(id.Partition), 10)
	b = strconv.AppendUint(append(b, ':'), id.Seq, 10)
	return string(strconv.AppendInt(append(b, ':'), int64(id.Ordinal), 10))
}

// Compare orders events as the stream has them: negative when id comes before other.
func (id EventID) Compare(other EventID) int {
	return cmp.Or(
		cmp.Compare(id.Partition, other.Partition), cmp.Compare(id.Epoch, other.Epoch),
		cmp.Compare(id.Seq, other.Seq), cmp.Compare(id.Ordinal, other.Ordinal),
	)
}

// ParseEventID is the opposite of String.
func ParseEventID(s string) (id EventID, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != 4 {
		return id, fmt.Errorf("event id %q: must be epoch:partition:sequence:ordinal", s)
	}
	var numbers [4]int64
	for i, part := range parts {
		if numbers[i], err = strconv.ParseInt(part, 10, 64); err != nil {
			return id, fmt.Errorf("event id %q: %w", s, err)
		}
	}
	return EventID{Epoch: numbers[0], Partition: int(numbers[1]), Seq: uint64(numbers[2]), Ordinal: int(numbers[3])}, nil
}

// Event is a transition of a node or a monitor event: stored once, for ever the same.
type Event struct {
	ID       EventID
	Kind     Kind
	NodeID   string
	Name     string
	IP       string
	From, To State
	Reason   string
	Evidence string
	At       Stamp // of the message that revealed it
	// Since is where Lasted counts from: the incident's start (a recovery), when it was last heard (lost),
	// the start of the span (blind, deaf, hearing), when it was deleted (a deleted node that joins again). Of an imported
	// node that is lost, Lasted alone says for how long it was.
	Since  Stamp
	Lasted time.Duration
	// Quiet events are recorded and shown, and not worth telling.
	Quiet bool
	// Nodes and Refused say of a deaf span how many nodes were heard before, and what ingest refused, by status.
	Nodes   int
	Refused map[string]int
	By      string // who deleted or imported it
	Meta    string // of the node at that time
}
