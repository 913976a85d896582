package node

import (
	"strings"
	"time"
)

// maxInterval bounds what an agent may say of its interval: nobody gets a threshold of weeks by a typing error.
const maxInterval = 24 * time.Hour

// observe folds one heartbeat.
func (f *Fold) observe(h *Heartbeat) {
	n := f.nodes[h.NodeID]
	if n == nil {
		f.join(h)
		return
	}
	if older(n, h) && f.overtaken(n, h) {
		return
	}
	f.follow(n, h)
	f.update(n, h)
	to, reason, evidence := judge(h)
	f.enter(n, to, reason, evidence)
	f.arm(n)
}

// join creates a node, or counts it when there are too many.
func (f *Fold) join(h *Heartbeat) {
	c := &f.clock
	if len(f.nodes) >= c.Settings.MaxNodes {
		c.Overflow++
		return
	}
	at := c.Position.Stamp
	n := &Node{ID: h.NodeID, Since: at, Joined: at}
	n.State, n.Reason, n.Evidence = judge(h)
	n.Told = n.State
	if n.State != Up {
		n.Incident = at
	}
	f.nodes[n.ID] = n
	f.counts[n.State]++
	f.update(n, h)
	f.arm(n)
	e := f.event(n, Joined)
	e.To = n.State
	if gone, ok := f.deleted[n.ID]; ok {
		e.Since, e.Lasted = gone, at.Since(gone)
		delete(f.deleted, n.ID)
		f.pending.deleted[n.ID] = 0
	}
	f.emit(e)
}

// older reports whether h was sent before the last heartbeat of the same boot.
func older(n *Node, h *Heartbeat) bool {
	return h.BootID != "" && h.BootID == n.BootID && h.Seq < n.Seq
}

// update takes over all that a heartbeat says, but for the state.
func (f *Fold) update(n *Node, h *Heartbeat) {
	if h.IP != "" {
		n.IP = h.IP
	}
	n.Meta = h.Meta
	n.Interval = interval(h)
	n.BootID, n.Seq = h.BootID, h.Seq
	n.AgentVersion, n.OS, n.Arch = h.AgentVersion, h.OS, h.Arch
	n.Metrics, n.Workload = h.Metrics, h.Workload
	n.Heard, n.HeardW = f.clock.Position.Stamp, f.clock.W
	f.touch(n)
}

func interval(h *Heartbeat) time.Duration { return min(max(h.Interval, 0), maxInterval) }

// judge reads the agent's word.
func judge(h *Heartbeat) (s State, reason, evidence string) {
	switch strings.ToUpper(h.Status) {
	case "UP", "":
		return Up, "", ""
	case "DEGRADED":
		s = Degraded
	case "DOWN":
		s = Down
	default:
		return Down, ReasonUnknownStatus, h.Evidence
	}
	reason = h.Reason
	if reason == "" {
		reason = metaReason(h.Meta)
	}
	if reason == "" {
		reason = ReasonReported
	}
	return s, reason, h.Evidence
}

// metaReason finds reason=<code> in meta, where later agents of the old family put it.
func metaReason(meta string) string {
	for field := range strings.FieldsFuncSeq(meta, func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
		if code, ok := strings.CutPrefix(field, "reason="); ok {
			return code
		}
	}
	return ""
}

// enter puts a node into a state and records the transition, if it is one.
func (f *Fold) enter(n *Node, to State, reason, evidence string) {
	from, was := n.State, n.Reason
	n.Reason, n.Evidence = reason, evidence
	// A node that is lost without having been told becomes lost once more, with a reason of its own.
	if to == from && (to != Lost || was == reason) {
		return
	}
	delete(f.deaf, n)
	f.counts[from]--
	f.counts[to]++
	at := f.clock.Position.Stamp
	e := f.event(n, Changed)
	e.From, e.To, e.Quiet = from, to, quiet(n.Told, to, reason)
	switch to {
	case Up:
		e.Since, e.Lasted = n.Incident, at.Since(n.Incident)
		n.Incident = 0
	case Lost:
		e.Since, e.Lasted = n.Heard, at.Since(n.Heard)
	}
	if to != Up && n.Incident == 0 {
		n.Incident = at
	}
	if !e.Quiet {
		n.Told = to
	}
	if to != from {
		n.State, n.Since = to, at
	}
	if to == Lost && reason == ReasonDeaf {
		f.deaf[n] = struct{}{}
	}
	f.touch(n)
	f.emit(e)
}

// quiet reports whether people know already, or should not hear of it one by one: the state they were told last,
// a node that was down or lost before it fell silent, and all that fell silent while the front door was suspect.
func quiet(told, to State, reason string) bool {
	if to == Lost {
		return reason == ReasonDeaf || told == Down || told == Lost
	}
	return to == told
}

// event fills in what all events about a node say.
func (f *Fold) event(n *Node, k Kind) Event {
	return Event{
		Kind: k, NodeID: n.ID, Name: n.Name, IP: n.IP, Meta: n.Meta,
		Reason: n.Reason, Evidence: n.Evidence, At: f.clock.Position.Stamp,
	}
}
