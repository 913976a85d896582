package node

import (
	"strings"
	"time"
)

// maxInterval bounds what an agent may say of its interval: nobody gets a threshold of weeks by a typing error.
const maxInterval = 24 * time.Hour

// observe folds one heartbeat.
func (f *Fold) observe(h *Heartbeat) {
	n := f.nodes.find(h.NodeID)
	if n == nil {
		f.join(h)
		return
	}
	if f.older(n, h) && f.overtaken(n, h) {
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
	if f.nodes.size >= c.Settings.MaxNodes {
		c.Overflow++
		return
	}
	at := c.Position.Stamp
	n := Node{ID: h.NodeID, IP: h.IP, Meta: h.Meta, BootID: h.BootID, Since: at, Joined: at}
	n.State, n.Reason, n.Evidence = judge(h)
	n.Told = n.State
	if n.State != Up {
		n.Incident = at
	}
	r := f.add(&n)
	f.update(r, h)
	f.arm(r)
	e := f.event(r, Joined)
	e.To = n.State
	if gone, ok := f.unbury(n.ID); ok {
		e.Since, e.Lasted = gone, at.Since(gone)
	}
	f.emit(e)
}

// add keeps a new node.
func (f *Fold) add(n *Node) *record {
	r := f.nodes.add(n)
	f.counts[n.State]++
	f.pending.of(r).joins = true
	return r
}

// annotate keeps what a heartbeat tells of earlier times, for the record alone. Also one that was overtaken tells it.
func (f *Fold) annotate(h *Heartbeat) {
	if len(h.Annotations) == 0 || f.nodes.find(h.NodeID) == nil {
		return // beyond MaxNodes
	}
	for _, a := range h.Annotations {
		a.NodeID, a.Heard = h.NodeID, f.clock.Position.Stamp
		f.pending.annotations = append(f.pending.annotations, a)
	}
}

// older reports whether h was sent before the last heartbeat of the same boot.
func (f *Fold) older(n *record, h *Heartbeat) bool {
	return h.BootID != "" && h.Seq < n.seq && f.nodes.is(n, textBoot, h.BootID)
}

// update takes over all that a heartbeat says, but for the state.
func (f *Fold) update(n *record, h *Heartbeat) {
	said := agent{h.AgentVersion, h.OS, h.Arch}
	f.hears(n, h, said)
	number := f.agents.number(said, n.agent)
	news := number == noAgent || number != n.agent || interval(h) != n.interval
	if h.IP != "" {
		news = f.nodes.set(n, textIP, h.IP) || news
	}
	news = f.nodes.set(n, textMeta, h.Meta) || news
	news = f.nodes.set(n, textBoot, h.BootID) || news
	if news {
		f.touch(n)
	}
	n.agent, n.interval, n.seq = number, interval(h), h.Seq
	n.heard, n.heardW, n.known = f.clock.Position.Stamp, f.clock.W, true
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
func (f *Fold) enter(n *record, to State, reason, evidence string) {
	from, was, undecided := n.State(), f.nodes.text(n, textReason), f.undecided(n)
	if news := f.nodes.set(n, textReason, reason); f.nodes.set(n, textEvidence, evidence) || news {
		f.judges(n)
	}
	// A node that is lost without having been told becomes lost once more, with a reason of its own.
	if to == from && (to != Lost || was == reason) {
		return
	}
	if undecided {
		f.deaf--
	}
	f.counts[from]--
	f.counts[to]++
	at := f.clock.Position.Stamp
	e := f.event(n, Changed)
	e.From, e.To, e.Quiet = from, to, quiet(n.Told(), to, reason)
	switch to {
	case Up:
		e.Since, e.Lasted = n.incident, at.Since(n.incident)
		n.incident = 0
	case Lost:
		e.Since, e.Lasted = n.heard, at.Since(n.heard)
	}
	if to != Up && n.incident == 0 {
		n.incident = at
	}
	if !e.Quiet {
		n.told = codeOf(to)
	}
	if to != from {
		n.state, n.since = codeOf(to), at
	}
	if f.undecided(n) {
		f.deaf++
	}
	f.judges(n)
	f.emit(e)
}

// undecided reports whether the node is lost with reason deaf: neither told nor forgiven yet.
func (f *Fold) undecided(n *record) bool {
	return n.State() == Lost && f.nodes.is(n, textReason, ReasonDeaf)
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
func (f *Fold) event(n *record, k Kind) Event {
	t := f.nodes.texts.all(n.texts)
	return Event{
		Kind: k, NodeID: t[textID], Name: t[textName], IP: t[textIP], Meta: t[textMeta],
		Reason: t[textReason], Evidence: t[textEvidence], At: f.clock.Position.Stamp,
	}
}
