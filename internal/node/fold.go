package node

import (
	"slices"
	"strings"
)

// Fold is the state of one partition in memory. It is used by one goroutine at a time.
type Fold struct {
	partition int
	clock     Clock
	nodes     map[string]*Node
	deleted   map[string]Stamp // tombstones: when a node was deleted
	oldest    Stamp            // no tombstone is older; zero for none
	counts    map[State]int
	due       dueHeap
	deaf      map[*Node]struct{} // lost with reason deaf: neither told nor forgiven yet

	ordinal int // of the next event of the message at hand
	pending pending
}

// Snapshot is a fold as stored.
type Snapshot struct {
	Clock   Clock
	Nodes   []Node
	Deleted map[string]Stamp
}

// Changes is what a commit stores: everything that happened since the last Take.
type Changes struct {
	Clock   Clock
	Nodes   []Node           // new or changed, by id
	Removed []string         // deleted nodes, by id; a node that joined again stands in Nodes too
	Deleted map[string]Stamp // tombstones to set; zero removes one
	Events  []Event          // in order

	Annotations []Annotation // in order; one of the same NodeID, At and Status may be stored already
}

type pending struct {
	dirty   map[*Node]struct{}
	removed map[string]struct{}
	deleted map[string]Stamp
	events  []Event

	annotations []Annotation
}

// New continues the fold of a partition from its snapshot.
func New(partition int, s Snapshot) *Fold {
	f := &Fold{
		partition: partition,
		clock:     s.Clock.clone(),
		nodes:     make(map[string]*Node, len(s.Nodes)),
		deleted:   make(map[string]Stamp, len(s.Deleted)),
		counts:    make(map[State]int),
		deaf:      make(map[*Node]struct{}),
		pending:   newPending(),
	}
	for id, at := range s.Deleted {
		f.deleted[id] = at
		if f.oldest == 0 || at < f.oldest {
			f.oldest = at
		}
	}
	for i := range s.Nodes {
		n := new(s.Nodes[i])
		f.nodes[n.ID] = n
		f.counts[n.State]++
		if n.State == Lost && n.Reason == ReasonDeaf {
			f.deaf[n] = struct{}{}
		}
		f.arm(n)
	}
	return f
}

func newPending() pending {
	return pending{dirty: make(map[*Node]struct{}), removed: make(map[string]struct{}), deleted: make(map[string]Stamp)}
}

// Position is how far this fold has come.
func (f *Fold) Position() Position { return f.clock.Position }

// Settings are those in force.
func (f *Fold) Settings() Settings { return f.clock.Settings }

// Count is how many nodes are in the state.
func (f *Fold) Count(s State) int { return f.counts[s] }

// Len is how many nodes there are.
func (f *Fold) Len() int { return len(f.nodes) }

// Clock is a copy of all that is kept besides nodes.
func (f *Fold) Clock() Clock {
	c := f.clock.clone()
	c.Counts = make(map[State]int, len(f.counts))
	for state, n := range f.counts {
		if n > 0 {
			c.Counts[state] = n
		}
	}
	return c
}

// Tear says that the stream is not the one folded so far: another one, or an older copy of it. The epoch grows,
// and the time until the next message is a blind span. created tells which stream the next message comes from.
// A torn fold must not be committed before it has folded a message, or the tear would be found once more.
func (f *Fold) Tear(created Stamp) {
	p := &f.clock.Position
	p.Epoch++
	p.Created, p.Seq = created, 0
	f.clock.Torn = true
}

// Begin says which stream the fold of an empty store is about to read.
func (f *Fold) Begin(created Stamp) { f.clock.Position.Created = created }

// Apply folds one message: clock and blind check, then what it carries in order, then expiry.
func (f *Fold) Apply(m Message) {
	f.ordinal = 0
	p := &f.clock.Position
	p.Seq = m.Seq
	if m.Command == nil && !m.Unsure || f.clock.Torn {
		f.tick(m.Stamp)
	}
	p.Stamp = m.Stamp
	f.decay(m.Stamp)
	f.refuse(m.Refused)
	if len(m.Heartbeats) > 0 {
		f.accept(m.Stamp)
	}
	for i := range m.Heartbeats {
		f.observe(&m.Heartbeats[i])
		f.annotate(&m.Heartbeats[i])
	}
	if m.Command != nil {
		f.command(m.Command)
	}
	f.expire()
}

// Changed reports whether an event waits to be committed: a change of state is committed at once.
func (f *Fold) Changed() bool { return len(f.pending.events) > 0 }

// Dirty reports how many nodes wait to be committed.
func (f *Fold) Dirty() int { return len(f.pending.dirty) + len(f.pending.removed) }

// Take returns what happened since the last Take and forgets it. It shares nothing with the fold.
func (f *Fold) Take() Changes {
	p := f.pending
	f.pending = newPending()
	c := Changes{Clock: f.Clock(), Deleted: p.deleted, Events: p.events, Annotations: p.annotations}
	c.Nodes = make([]Node, 0, len(p.dirty))
	for n := range p.dirty {
		c.Nodes = append(c.Nodes, *n)
	}
	slices.SortFunc(c.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	for id := range p.removed {
		c.Removed = append(c.Removed, id)
	}
	slices.Sort(c.Removed)
	return c
}

// emit records an event of the message at hand.
func (f *Fold) emit(e Event) {
	p := f.clock.Position
	e.ID = EventID{Epoch: p.Epoch, Partition: f.partition, Seq: p.Seq, Ordinal: f.ordinal}
	f.ordinal++
	f.pending.events = append(f.pending.events, e)
}

func (f *Fold) touch(n *Node) { f.pending.dirty[n] = struct{}{} }

// Torn reports whether the fold was torn and has folded no message since.
func (f *Fold) Torn() bool { return f.clock.Torn }
