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
}

// Agent names the program that sent a heartbeat.
type Agent struct {
	Version string `json:"version,omitempty"`
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
}
