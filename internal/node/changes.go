package node

import (
	"slices"
	"strings"
	"time"
)

// Changes is what a commit stores: everything that happened since the last Take. No node stands in two of Nodes, Heard,
// Judged and Altered.
type Changes struct {
	Clock  Clock
	Nodes  []Node   // that joined, or were heard with something new, by id: all of them is to be stored
	Heard  []Heard  // that were heard, and are else as they are stored, by id
	Judged []Judged // that changed their state without being heard, and are else as they are stored, by id
	// Altered changed in more than that without being heard, as when they are renamed, by id. Their AgentVersion, OS, Arch,
	// Metrics and Workload are not known, and stay as they are stored.
	Altered []Node
	// Before is when each of Nodes was heard before, where this fold folded that. For others look at Heard.
	Before  map[string]Stamp
	Removed []string         // deleted nodes, by id; a node that joined again stands in Nodes too
	Deleted map[string]Stamp // tombstones to set; zero removes one
	Events  []Event          // in order

	Annotations []Annotation // in order; one of the same NodeID, At and Status may be stored already
}

// Heard is what changes with every heartbeat of a node: by far most of what is stored is of this kind.
type Heard struct {
	ID                string
	Heard             Stamp
	HeardW            time.Duration
	Seq               int64
	Metrics, Workload string

	Before Stamp // when it was heard before, zero unless this fold folded that; it is not stored
}

// Judged is what changes when silence decides about a node: of nodes that are lost together there may be very many.
type Judged struct {
	ID               string
	State            State
	Reason, Evidence string
	Told             State
	Since, Incident  Stamp
}

// Len is how many nodes are to be stored or removed.
func (c *Changes) Len() int {
	return len(c.Nodes) + len(c.Heard) + len(c.Judged) + len(c.Altered) + len(c.Removed)
}

// pending is what happened since the last Take.
type pending struct {
	changes []change
	live    int // changes that are of a node
	removed map[string]struct{}
	deleted map[string]Stamp
	events  []Event

	annotations []Annotation
}

// change is what happened to a node.
type change struct {
	node   *record // nil when it was removed after all
	joins  bool    // it is not stored yet
	heard  bool
	judged bool // its state changed, or why it is in it
	news   bool // more changed than that and what a heartbeat alone changes

	// Of one that was heard.
	before            Stamp
	metrics, workload string
	agent             agent
}

func newPending() pending {
	return pending{removed: make(map[string]struct{}), deleted: make(map[string]Stamp)}
}

// of is the change of a node, which may have none yet.
func (p *pending) of(r *record) *change {
	if r.change == 0 {
		p.changes = append(p.changes, change{node: r})
		p.live++
		r.change = uint32(len(p.changes))
	}
	return &p.changes[r.change-1]
}

// drop forgets the change of a node that is removed.
func (p *pending) drop(r *record) {
	if r.change != 0 {
		p.changes[r.change-1] = change{}
		p.live--
	}
}

// touch notes that a node changed, other than by being heard or judged.
func (f *Fold) touch(r *record) { f.pending.of(r).news = true }

// judges notes that the state of a node changed, or what belongs to it: Judged has all of that.
func (f *Fold) judges(r *record) { f.pending.of(r).judged = true }

// hears notes a heartbeat of a node: what of it is not kept, and when the one before was.
func (f *Fold) hears(r *record, h *Heartbeat, a agent) {
	c := f.pending.of(r)
	if !c.heard && r.known {
		c.before = r.heard
	}
	c.heard, c.metrics, c.workload, c.agent = true, h.Metrics, h.Workload, a
}

// Changed reports whether an event waits to be committed: a change of state is committed at once.
func (f *Fold) Changed() bool { return len(f.pending.events) > 0 }

// Dirty reports how many nodes wait to be committed.
func (f *Fold) Dirty() int { return f.pending.live + len(f.pending.removed) }

// Take returns what happened since the last Take and forgets it. It shares nothing with the fold.
func (f *Fold) Take() Changes {
	p := f.pending
	f.pending = newPending()
	c := Changes{Clock: f.Clock(), Before: make(map[string]Stamp), Deleted: p.deleted, Events: p.events, Annotations: p.annotations}
	c.makeRoom(p.changes)
	for i := range p.changes {
		if r := p.changes[i].node; r != nil {
			r.change = 0
			c.add(&p.changes[i], &f.nodes)
		}
	}
	slices.SortFunc(c.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Heard, func(a, b Heard) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Judged, func(a, b Judged) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Altered, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	for id := range p.removed {
		c.Removed = append(c.Removed, id)
	}
	slices.Sort(c.Removed)
	return c
}

// makeRoom for what there is: a hundred thousand nodes may be lost at once.
func (c *Changes) makeRoom(changes []change) {
	var whole, heard, altered, judged int
	for i := range changes {
		switch x := &changes[i]; {
		case x.node == nil:
		case x.whole():
			whole++
		case x.heard:
			heard++
		case x.news:
			altered++
		default:
			judged++
		}
	}
	c.Nodes, c.Heard, c.Judged, c.Altered = room[Node](whole), room[Heard](heard), room[Judged](judged), room[Node](altered)
}

// room is empty, and nil for nothing.
func room[T any](n int) []T { return slices.Grow([]T(nil), n) }

// whole reports whether all of the node is to be stored.
func (x *change) whole() bool { return x.joins || x.heard && (x.news || x.judged) }

func (c *Changes) add(x *change, nodes *table) {
	switch r := x.node; {
	case x.whole():
		n := nodes.node(r)
		n.Metrics, n.Workload = x.metrics, x.workload
		n.AgentVersion, n.OS, n.Arch = x.agent.version, x.agent.os, x.agent.arch
		c.Nodes = append(c.Nodes, n)
		if x.before != 0 {
			c.Before[n.ID] = x.before
		}
	case x.heard:
		c.Heard = append(c.Heard, Heard{
			ID: nodes.text(r, textID), Heard: r.heard, HeardW: r.heardW, Seq: r.seq,
			Metrics: x.metrics, Workload: x.workload, Before: x.before,
		})
	case x.news:
		c.Altered = append(c.Altered, nodes.node(r))
	default:
		c.Judged = append(c.Judged, Judged{
			ID: nodes.text(r, textID), State: r.State(), Reason: nodes.text(r, textReason), Evidence: nodes.text(r, textEvidence),
			Told: r.Told(), Since: r.since, Incident: r.incident,
		})
	}
}
