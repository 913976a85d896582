package node

import (
	"slices"
	"time"
)

// record is what a fold keeps of a node in memory. There may be millions, so it has no more than decisions and events
// need: what agents tell for people alone (AgentVersion, OS, Arch, Metrics, Workload) passes through to the commit. Its
// texts lie elsewhere, so that there is no pointer in it: the garbage collector need not look at it.
type record struct {
	texts place

	since, incident, joined, heard Stamp
	heardW, threshold, interval    time.Duration
	seq                            int64

	due    time.Duration // while armed: it is not lost before this reading of the clock
	armed  uint32        // place in the heap, counted from 1; 0 while it is not there
	self   uint32        // its number in the table; 0 for a free one
	next   uint32        // another one in the same bucket of the table, or free; 0 for none
	change uint32        // place among the pending changes, counted from 1; 0 for none
	agent  uint16        // number of its agent's version and system; noAgent for unknown

	state, told stateCode
	known       bool // it joined, or was heard, since this fold began
}

// stateCode is a State in one byte.
type stateCode uint8

var codes = [...]State{"", Up, Degraded, Down, Lost}

// codeOf is 0 for what is no state: the next heartbeat, or silence, says what the node is.
func codeOf(s State) stateCode { return stateCode(max(slices.Index(codes[:], s), 0)) }

func (r *record) State() State { return codes[r.state] }
func (r *record) Told() State  { return codes[r.told] }

// split is what is kept of a node.
func split(n *Node) (record, *allTexts) {
	return record{
			since: n.Since, incident: n.Incident, joined: n.Joined, heard: n.Heard,
			heardW: n.HeardW, threshold: n.Threshold, interval: n.Interval, seq: n.Seq,
			state: codeOf(n.State), told: codeOf(n.Told),
		}, &allTexts{
			textID: n.ID, textName: n.Name, textIP: n.IP, textMeta: n.Meta, textReason: n.Reason,
			textEvidence: n.Evidence, textBoot: n.BootID, textSenders: n.Senders,
		}
}

// joint is the opposite of split: the node as far as the fold knows it.
func joint(r *record, t allTexts) Node {
	return Node{
		ID: t[textID], Name: t[textName], IP: t[textIP], Meta: t[textMeta], State: r.State(), Reason: t[textReason],
		Evidence: t[textEvidence], Told: r.Told(), Since: r.since, Incident: r.incident, Joined: r.joined,
		Heard: r.heard, HeardW: r.heardW, Threshold: r.threshold, Interval: r.interval, BootID: t[textBoot],
		Seq: r.seq, Senders: t[textSenders],
	}
}
