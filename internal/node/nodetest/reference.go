// Package nodetest checks the fold: a second, plain fold that shares nothing with the real one but its types.
package nodetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// Step is one message as the evaluator meets it. Torn says that the stream turned out to be another one before it.
type Step struct {
	node.Message
	Torn bool
}

// Reference folds the steps in the plainest way, looking at every node after every message. It returns the events,
// as Line writes them, and the final state of every node, as Describe writes it.
func Reference(s node.Settings, steps []Step) (events []string, states map[string]string) {
	r := fold(s, steps)
	states = map[string]string{}
	for id, n := range r.nodes {
		states[id] = string(n.state) + " " + n.reason
		if n.returns == enough && r.w <= n.until {
			states[id] += " doubled " + n.why + " " + n.addresses()
		}
	}
	return r.events, states
}

// Said folds the steps as Reference does, and returns what is known of every node from the last heartbeat that was
// folded, as Words writes it.
func Said(s node.Settings, steps []Step) map[string]string {
	words := map[string]string{}
	for id, n := range fold(s, steps).nodes {
		words[id] = Words(n.said)
	}
	return words
}

// Words writes what agents say of a node for people.
func Words(n node.Node) string {
	return fmt.Sprintf("%s %q %q %s %s %s %v %s/%d %s %s %q", n.Joined.Time(), n.IP, n.Meta, n.AgentVersion, n.OS, n.Arch,
		n.Interval, n.BootID, n.Seq, n.Metrics, n.Workload, n.Evidence)
}

func fold(s node.Settings, steps []Step) *reference {
	r := &reference{settings: s, epoch: 1, nodes: map[string]*record{}, gone: map[string]bool{}}
	for _, st := range steps {
		r.step(st)
	}
	return r
}

// Line writes what of an event must be the same for everybody.
func Line(e node.Event) string {
	reason := e.Reason
	if e.Kind == node.Doubled {
		reason += " " + e.Evidence
	}
	return line(e.ID.String(), e.Kind, e.NodeID, e.From, e.To, reason, e.Quiet)
}

// Describe writes what of a node must be the same for everybody, as of the reading w of the observation clock.
func Describe(n node.Node, w time.Duration) string {
	s := string(n.State) + " " + n.Reason
	if d, ok := n.Doubled(w); ok {
		s += " doubled " + d.Reason + " " + strings.Join(d.Addresses, ", ")
	}
	return s
}

func line(id string, k node.Kind, nodeID string, from, to node.State, reason string, quiet bool) string {
	s := fmt.Sprintf("%s %s %s %s>%s %s", id, k, nodeID, from, to, reason)
	if quiet {
		s += " quiet"
	}
	return s
}

type record struct {
	state, told      node.State
	reason           string
	heard, own, ival time.Duration
	boot, ip         string
	seq              int64
	said             node.Node
	memory
}

// say notes what a heartbeat says for people.
func (n *record) say(h node.Heartbeat) {
	s := &n.said
	s.IP, s.Meta, s.Interval, s.BootID, s.Seq = n.ip, h.Meta, h.Interval, h.BootID, h.Seq
	s.AgentVersion, s.OS, s.Arch = h.AgentVersion, h.OS, h.Arch
	s.Metrics, s.Workload, s.Evidence = h.Metrics, h.Workload, h.Evidence
	if w := strings.ToUpper(h.Status); w == "UP" || w == "" {
		s.Evidence = ""
	}
}

type reference struct {
	settings               node.Settings
	epoch                  int64
	seq                    uint64
	ordinal                int
	at, stamp, highest     node.Stamp // of the message, of the batch before, and the highest
	w, blindEnd, acceptedW time.Duration
	deaf                   bool
	nodes                  map[string]*record
	gone                   map[string]bool
	events                 []string
}

func (r *reference) emit(k node.Kind, id string, from, to node.State, reason string, quiet bool) {
	r.events = append(r.events, line(fmt.Sprintf("%d:0:%d:%d", r.epoch, r.seq, r.ordinal), k, id, from, to, reason, quiet))
	r.ordinal++
}

func (r *reference) step(st Step) {
	if st.Torn {
		r.epoch++
	}
	r.seq, r.ordinal, r.at = st.Seq, 0, st.Stamp
	if st.Command == nil && !st.Unsure || st.Torn {
		r.tick(st)
	}
	if len(st.Heartbeats) > 0 {
		if r.deaf {
			r.deaf, r.w, r.blindEnd = false, r.acceptedW, r.acceptedW
			for _, n := range r.nodes {
				n.heard = min(n.heard, r.w)
			}
			r.emit(node.Hearing, "", "", "", "", false)
		}
		r.acceptedW = r.w
	}
	for _, h := range st.Heartbeats {
		r.heartbeat(h)
	}
	if st.Command != nil {
		r.command(*st.Command)
	}
	r.expire()
}

func (r *reference) tick(st Step) {
	thr := r.settings.Threshold
	d, g := time.Duration(st.Stamp-r.stamp), min(10*time.Second, thr/2)
	switch {
	case r.stamp == 0 && !st.Torn:
		r.highest = st.Stamp
	case st.Torn || d > g || d < -g || time.Duration(r.highest-st.Stamp) > g:
		r.blindEnd = r.w
		r.emit(node.Blind, "", "", "", "", r.stamp == 0 || max(d, 0) < thr/2)
		r.highest = st.Stamp
	case st.Stamp > r.highest:
		r.w += time.Duration(st.Stamp - r.highest)
		r.highest = st.Stamp
	}
	r.stamp = st.Stamp
}

func (r *reference) heartbeat(h node.Heartbeat) {
	to, reason := node.Up, ""
	switch word := strings.ToUpper(h.Status); word {
	case "", "UP":
	case "DOWN", "DEGRADED":
		to, reason = node.State(strings.ToLower(word)), cmp.Or(h.Reason, "reported")
	default:
		to, reason = node.Down, "unknown_status"
	}
	n := r.nodes[h.NodeID]
	if n == nil {
		if len(r.nodes) >= r.settings.MaxNodes {
			return
		}
		delete(r.gone, h.NodeID)
		r.nodes[h.NodeID] = &record{state: to, told: to, reason: reason, heard: r.w, ival: h.Interval, boot: h.BootID, seq: h.Seq, ip: h.IP}
		r.nodes[h.NodeID].say(h)
		r.nodes[h.NodeID].said.Joined = r.at
		r.emit(node.Joined, h.NodeID, "", to, reason, false)
		return
	}
	r.forget(n)
	if h.BootID != "" && h.BootID == n.boot && h.Seq < n.seq && !r.restored(n, h) {
		return
	}
	r.replaced(n, h)
	n.heard, n.ival, n.boot, n.seq, n.ip = r.w, h.Interval, h.BootID, h.Seq, cmp.Or(h.IP, n.ip)
	n.say(h)
	r.enter(h.NodeID, n, to, reason)
}

func (r *reference) enter(id string, n *record, to node.State, reason string) {
	from, was := n.state, n.reason
	n.state, n.reason = to, reason
	if from == to && (to != node.Lost || was == reason) {
		return
	}
	quiet := to == n.told || to == node.Lost && (reason == "deaf" || n.told == node.Down)
	if !quiet {
		n.told = to
	}
	r.emit(node.Changed, id, from, to, reason, quiet)
}

func (r *reference) command(c node.Command) {
	n := r.nodes[c.NodeID]
	for _, i := range c.Import {
		if r.nodes[i.NodeID] == nil && !r.gone[i.NodeID] && len(r.nodes) < r.settings.MaxNodes {
			reason := map[node.State]string{node.Up: "", node.Lost: "silent"}
			why, known := reason[i.State]
			if !known {
				why = "reported"
			}
			r.nodes[i.NodeID] = &record{state: i.State, told: i.State, reason: why, heard: r.w, ip: i.IP, said: node.Node{IP: i.IP, Meta: i.Meta, Joined: min(i.Heard, r.at)}}
			r.emit(node.Joined, i.NodeID, "", i.State, why, true)
		}
	}
	switch {
	case c.Settings != nil && c.Settings.Check() == nil:
		r.settings = *c.Settings
	case n == nil:
	case c.Delete:
		delete(r.nodes, c.NodeID)
		r.gone[c.NodeID] = true
		r.emit(node.Deleted, c.NodeID, n.state, "", n.reason, true)
	case c.Threshold != nil && node.CheckThreshold(*c.Threshold, r.settings) == nil:
		n.own = *c.Threshold
	}
}

func (r *reference) threshold(n *record, interval time.Duration) time.Duration {
	return max(cmp.Or(n.own, r.settings.Threshold), 2*r.settings.Gap(), interval*5/2)
}

func (r *reference) expire() {
	type dueNode struct {
		at time.Duration
		id string
	}
	var due []dueNode
	serving := 0
	for id, n := range r.nodes {
		if n.state == node.Up || n.state == node.Degraded {
			serving++
		}
		t := r.threshold(n, n.ival)
		at := min(max(n.heard, r.blindEnd)+t, n.heard+2*t)
		if at < r.w && (n.state != node.Lost || n.reason == "deaf" && !r.deaf) {
			due = append(due, dueNode{at, id})
		}
	}
	slices.SortFunc(due, func(a, b dueNode) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	if len(due) > 0 && !r.deaf && serving >= 3 && r.w-r.acceptedW >= r.settings.Threshold/2 {
		r.deaf = true
		r.emit(node.Deaf, "", "", "", "", false)
	}
	for _, d := range due {
		reason := "silent"
		if r.deaf {
			reason = "deaf"
		}
		r.enter(d.id, r.nodes[d.id], node.Lost, reason)
		r.nodes[d.id].said.Evidence = ""
	}
}
