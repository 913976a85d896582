package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Version is the v of every message between services. Readers are deployed before writers.
const Version = 1

// EventsStream holds the events of all partitions, after they were committed.
const EventsStream = "EVENTS"

// HeartbeatsStream names the stream that holds everything which can change a node of the partition.
func HeartbeatsStream(partition int) string { return "HEARTBEATS_" + strconv.Itoa(partition) }

// HeartbeatSubject is where ingest publishes batches.
func HeartbeatSubject(partition int) string { return "heartbeat." + strconv.Itoa(partition) }

// CommandSubject is where web, notifier and evaluator publish commands.
func CommandSubject(partition int) string { return "command." + strconv.Itoa(partition) }

// EventSubject is where the evaluator announces committed events.
func EventSubject(partition int) string { return "event." + strconv.Itoa(partition) }

// TokensBucket is the key-value bucket with the copy of agents' tokens that ingest watches. Web writes it: under each
// token's hash (SHA-256 in hexadecimal digits) a Token, and under TokensComplete anything, once all tokens are there.
const (
	TokensBucket   = "TOKENS"
	TokensComplete = "complete"
)

// Token is what a bearer token is good for.
type Token struct {
	V      int    `json:"v"`
	NodeID string `json:"node_id,omitempty"` // the only node it may report; "" for any
}

// Batch is the heartbeats of one JetStream message, possibly none: an empty batch is the pulse of an ingest.
type Batch struct {
	V      int    `json:"v"`
	Ingest string `json:"ingest"` // which ingest published it
	// Unsure says that what this ingest published before was not acknowledged, so that it cannot tell whether anybody is
	// heard. A cut-off leader of JetStream still stamps such messages, and stores them when it is back.
	Unsure bool `json:"unsure,omitempty"`
	// Accepted and Refused count this ingest's requests since its last batch; Refused by HTTP status.
	Accepted   int            `json:"accepted,omitempty"`
	Refused    map[string]int `json:"refused,omitempty"`
	Heartbeats []Heartbeat    `json:"heartbeats,omitempty"`
}

// CommandKind says what a command changes.
type CommandKind string

// The commands. Delete, name and threshold concern one node, import several; settings concerns the whole partition.
const (
	CommandDelete    CommandKind = "delete"
	CommandName      CommandKind = "name"
	CommandThreshold CommandKind = "threshold"
	CommandImport    CommandKind = "import"
	CommandSettings  CommandKind = "settings"
)

// What one import command may carry: every server takes a message of this size.
const (
	MaxImportedNodes = 1000
	MaxImportBytes   = 256 << 10
)

// Command changes a node, or the settings of the fold, in the order of the stream.
type Command struct {
	V            int         `json:"v"`
	Kind         CommandKind `json:"kind"`
	NodeID       string      `json:"node_id,omitempty"`
	By           string      `json:"by,omitempty"`            // who asked, for the record
	Name         string      `json:"name,omitempty"`          // name: the display name; empty removes it
	ThresholdSec float64     `json:"threshold_sec,omitempty"` // threshold: 0 returns to the default; settings: the default
	MaxNodes     int         `json:"max_nodes,omitempty"`     // settings
	Nodes        []Imported  `json:"nodes,omitempty"`         // import
}

// Imported is a node that another monitor watched before. Where the node is known already, or was deleted here, nothing
// is changed.
type Imported struct {
	NodeID string `json:"node_id"`
	IP     string `json:"ip,omitempty"`
	Meta   string `json:"meta,omitempty"`
	State  string `json:"state"` // as people know it: up, degraded, down or lost; any other word is up
	// HeardUnixMs is when the other monitor heard it last, in Unix milliseconds by that monitor's clock.
	HeardUnixMs int64 `json:"heard_unix_ms"`
}

// Event is a committed transition or monitor event, as published to EventSubject.
type Event struct {
	V         int    `json:"v"`
	ID        string `json:"id"` // epoch:partition:sequence:ordinal
	Kind      string `json:"kind"`
	NodeID    string `json:"node_id,omitempty"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
	AtUnixMs  int64  `json:"at_unix_ms"`           // the stamp of the message that revealed it
	LastedSec int64  `json:"lasted_sec,omitempty"` // how long the incident, blind or deaf span was
	Quiet     bool   `json:"quiet,omitempty"`      // recorded, not worth telling
}

// ErrUnknownVersion means a message was written by a newer program: give up rather than guess.
var ErrUnknownVersion = errors.New("message version is unknown to this program: update it")

// DecodeBatch reads a batch. A foreign version gives ErrUnknownVersion, anything else unreadable another error.
func DecodeBatch(data []byte) (Batch, error) {
	var b Batch
	err := decode(data, &b)
	return b, err
}

// DecodeCommand reads a command. Errors as for DecodeBatch.
func DecodeCommand(data []byte) (Command, error) {
	var c Command
	err := decode(data, &c)
	return c, err
}

// DecodeToken reads a token. Errors as for DecodeBatch.
func DecodeToken(data []byte) (Token, error) {
	var t Token
	err := decode(data, &t)
	return t, err
}

// decode looks at the version alone first: a newer message may differ in every other field.
func decode(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	if err == nil && version(into) == Version {
		return nil
	}
	var probe struct {
		V *int `json:"v"`
	}
	if json.Unmarshal(data, &probe) == nil && probe.V != nil && *probe.V != Version {
		return fmt.Errorf("%w (v=%d, known %d)", ErrUnknownVersion, *probe.V, Version)
	}
	if err == nil {
		err = errors.New("message without a version")
	}
	return err
}

func version(m any) int {
	switch m := m.(type) {
	case *Batch:
		return m.V
	case *Command:
		return m.V
	case *Token:
		return m.V
	case *Process:
		return m.V
	}
	return 0
}
