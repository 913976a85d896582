// Package contract is what crosses the wire between agents, services and their readers.
//
// Everything here is JSON. Messages between services carry a version, v; agents do not.
package contract

import "encoding/json"

// Limits of one heartbeat request. A body or a node_id over its limit is refused; longer texts are cut.
const (
	MaxBodyBytes     = 64 << 10 // a PowerShell agent may send a whole HTML page as its ip
	MaxNodeIDChars   = 128
	MaxMetaBytes     = 1 << 10
	MaxReasonBytes   = 64
	MaxEvidenceBytes = 512
	MaxReportBytes   = 8 << 10 // metrics and workload, each
	MaxAnnotations   = 20      // further ones of one heartbeat are dropped: an agent sends them with the next
)

// Heartbeat is one report of an agent about one node.
// The first four fields are all that the bash and PowerShell agents of the first Gensyn Monitor send.
type Heartbeat struct {
	NodeID string `json:"node_id"`
	IP     string `json:"ip,omitempty"` // "" means unknown: the last good one is kept
	Meta   string `json:"meta,omitempty"`
	Status string `json:"status,omitempty"` // UP, DEGRADED or DOWN in any case; empty means UP

	Reason      string          `json:"reason,omitempty"`       // why a probe failed, a short code
	Evidence    string          `json:"evidence,omitempty"`     // the line that shows it
	IntervalSec float64         `json:"interval_sec,omitempty"` // seconds between the agent's heartbeats
	BootID      string          `json:"boot_id,omitempty"`      // of the machine; seq counts within one. Two at a time are two senders
	Seq         int64           `json:"seq,omitempty"`          // grows with every heartbeat of one boot_id
	Agent       Agent           `json:"agent,omitzero"`
	Metrics     json.RawMessage `json:"metrics,omitempty"`  // an object of the agent's, shown, never judged
	Workload    json.RawMessage `json:"workload,omitempty"` // likewise
	Annotations []Annotation    `json:"annotations,omitempty"`
}

// StatusCommand is the status of an Annotation that tells how a command of the agent ended.
const StatusCommand = "COMMAND"

// Annotation is what happened to a node while its agent could not say so: a change of status, or the end of a command
// that the agent ran. It is shown with the agent's own time, never judged. The same one may be sent again: node, at and
// status tell which it is.
type Annotation struct {
	At       int64  `json:"at"`     // Unix milliseconds by the agent's clock
	Status   string `json:"status"` // as in a heartbeat, or StatusCommand
	Reason   string `json:"reason,omitempty"`
	Evidence string `json:"evidence,omitempty"`
}

// Agent names the program that sent a heartbeat.
type Agent struct {
	Version string `json:"version,omitempty"`
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
}
