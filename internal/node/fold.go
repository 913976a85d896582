package node

// Fold is the state of one partition in memory. It is used by one goroutine at a time.
type Fold struct {
	partition int
	clock     Clock
	nodes     table
	agents    agents
	deleted   map[string]Stamp // tombstones: when a node was deleted
	oldest    Stamp            // no tombstone is older; zero for none
	counts    map[State]int
	due       dueHeap
	deaf      int // how many are lost with reason deaf: neither told nor forgiven yet

	ordinal int // of the next event of the message at hand
	pending pending
}

// Snapshot is a fold as stored.
type Snapshot struct {
	Clock   Clock
	Nodes   []Node
	Deleted map[string]Stamp
}

// Loading takes the nodes of a fold one by one, so that they need not all be in memory before there is one.
type Loading struct{ nodes table }

// NewLoading is a fold without nodes so far.
func NewLoading() *Loading { return &Loading{nodes: newTable()} }

// Add adds a node. What agents tell for people alone (AgentVersion, OS, Arch, Metrics, Workload) is of no account.
func (l *Loading) Add(n *Node) { l.nodes.add(n) }

// Fold continues the fold of a partition from its snapshot and the nodes that were added. The Loading is used up.
func (l *Loading) Fold(partition int, s Snapshot) *Fold {
	f := &Fold{
		partition: partition,
		clock:     s.Clock.clone(),
		nodes:     l.nodes,
		agents:    newAgents(),
		deleted:   make(map[string]Stamp, len(s.Deleted)),
		counts:    make(map[State]int),
		pending:   newPending(),
	}
	f.due.nodes = &f.nodes
	for id, at := range s.Deleted {
		f.deleted[id] = at
		if f.oldest == 0 || at < f.oldest {
			f.oldest = at
		}
	}
	for i := range s.Nodes {
		f.nodes.add(&s.Nodes[i])
	}
	for n := range f.nodes.all() {
		f.counts[n.State()]++
		if f.undecided(n) {
			f.deaf++
		}
		f.arm(n)
	}
	return f
}

// New continues the fold of a partition from its snapshot.
func New(partition int, s Snapshot) *Fold { return NewLoading().Fold(partition, s) }

// Position is how far this fold has come.
func (f *Fold) Position() Position { return f.clock.Position }

// Settings are those in force.
func (f *Fold) Settings() Settings { return f.clock.Settings }

// Count is how many nodes are in the state.
func (f *Fold) Count(s State) int { return f.counts[s] }

// Len is how many nodes there are.
func (f *Fold) Len() int { return f.nodes.size }

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

// emit records an event of the message at hand.
func (f *Fold) emit(e Event) {
	p := f.clock.Position
	e.ID = EventID{Epoch: p.Epoch, Partition: f.partition, Seq: p.Seq, Ordinal: f.ordinal}
	f.ordinal++
	f.pending.events = append(f.pending.events, e)
}

// Torn reports whether the fold was torn and has folded no message since.
func (f *Fold) Torn() bool { return f.clock.Torn }
