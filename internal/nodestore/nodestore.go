// Package nodestore is the contract of the store: where nodes, events and deliveries are kept.
//
// It is implemented for Postgres and for SQLite and checked by one conformance suite, nodestoretest. All methods are
// safe for concurrent use. Every method may return an error that wraps ErrUnavailable: the database could not be
// asked, or could not answer, and the same call may succeed later.
package nodestore

import (
	"context"
	"errors"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var (
	// ErrHeld means that somebody else holds the lease and it has not run out.
	ErrHeld = errors.New("the lease is held by another")
	// ErrFenced means that the lease was taken over, or the position is not the one expected: nothing was written.
	// Whoever gets it must forget all it knows and load again.
	ErrFenced = errors.New("the lease was taken over")
	// ErrUnavailable means that the database could not do it now; the call may be repeated.
	ErrUnavailable = errors.New("the database is unavailable")
	// ErrNewerSchema means that the database was migrated by a newer program, which this one must not touch.
	ErrNewerSchema = errors.New("the database schema is newer than this program: update it")
)

// Passing reports whether the trouble may pass by itself, so that waiting helps.
func Passing(err error) bool { return errors.Is(err, ErrUnavailable) }

// MaxAnnotations of a node are kept, the newest: an agent gone wrong could fill the disk.
const MaxAnnotations = 1000

// Lease says who may fold a partition. Every take-over raises the term.
type Lease struct {
	Partition int
	Owner     string
	Term      int64
}

// Writer is the evaluator's side.
type Writer interface {
	// Acquire takes the partition's lease for ttl when it is free, has run out, or is owner's already (the term
	// grows then, too). ErrHeld when it is somebody else's. The database's clock may step, so who
	// calls it again and again finds a lease run out when it was not renewed for as long as it lasts, by the clock of
	// its process; the database's clock decides alone at the first call of a process. The first Acquire of a partition ever creates it, with
	// epoch 1, position 0 and these settings; afterwards settings change through the stream alone.
	Acquire(ctx context.Context, partition int, owner string, ttl time.Duration, initial node.Settings) (Lease, error)
	// Renew makes the lease last for ttl from now. ErrFenced when the term is no longer the lease's.
	Renew(ctx context.Context, l Lease, ttl time.Duration) error
	// Release lets the lease run out now. No error when it was taken over meanwhile.
	Release(ctx context.Context, l Lease) error
	// Load reads the fold as committed: its clock and tombstones, and the nodes one by one, in any order, without what
	// agents tell for people alone (AgentVersion, OS, Arch, Metrics, Workload). add must not keep the node that it is
	// given. After an error what was added is worth nothing; ErrFenced when the term is no longer the lease's.
	Load(ctx context.Context, l Lease, add func(*node.Node)) (node.Snapshot, error)
	// Commit stores the changes in one transaction, provided that the term is the lease's and the position is still
	// from (epoch and sequence); else ErrFenced and nothing is written. Removed nodes are deleted before Nodes are
	// written, and these before Heard, Judged and Altered, which are stored already, else they are left out. Committing an
	// event whose id exists keeps the stored one, as does an annotation of the same NodeID, At and Status. Any error but
	// ErrFenced leaves open whether it was committed: ask Committed.
	Commit(ctx context.Context, l Lease, from node.Position, c node.Changes) error
	// Record stores one event that no message brought (Stalled, Outdated), with the lease's term as fence. An event
	// whose id exists is kept as it is stored: added is false then.
	Record(ctx context.Context, l Lease, e node.Event) (added bool, err error)
	// Committed reads term and position as stored, whoever holds the lease. Term 0 when the partition does not exist.
	Committed(ctx context.Context, partition int) (term int64, p node.Position, err error)
	// Prune deletes events found more than age ago, and notifications and deliveries about them, at most limit
	// events a call; likewise annotations, and those beyond MaxAnnotations of a node; and silences, acknowledgements and other notifications as old. It returns how
	// many events or annotations, whichever are more.
	Prune(ctx context.Context, l Lease, age time.Duration, limit int) (int, error)
	// AddSamples stores samples beside the commits: no lease is asked for, as nothing is decided by them. Of a node that
	// has one in the same slot the stored one is kept.
	AddSamples(ctx context.Context, samples []Sample) error
	// AddTraces stores beside the commits which traces brought committed events: no lease is asked for, as nothing is
	// decided by them. Of an event that has one the stored one is kept; it is an error when there is no such event.
	AddTraces(ctx context.Context, traces []EventTrace) error
	// PruneSamples deletes the samples of slots that ended more than age ago, the oldest first, at most limit of them,
	// and returns how many.
	PruneSamples(ctx context.Context, age time.Duration, limit int) (int, error)
}

// StoredEvent is an event with the database's time of the commit that brought it.
type StoredEvent struct {
	node.Event
	Found time.Time // UTC
}

// EventTrace says which trace of OpenTelemetry brought an event. It goes when the event does.
type EventTrace struct {
	Event  node.EventID
	Parent string // the span that committed it, as W3C's traceparent
}

// NodeQuery selects nodes. The zero value selects all.
type NodeQuery struct {
	ID     string       // this one alone; "" for all
	States []node.State // any of them; empty for all
	Search string       // a substring of id, name, ip, meta or reason, in any case; taken literally
	// NoAddresses makes Search look at id, name and reason alone: who may not see addresses must not find them.
	NoAddresses bool
	Order       Order  // "" for OrderID
	Reverse     bool   // the other way round
	After       string // the Order's Key of a node; those after it. ErrAfter when it is no such key
	Limit       int    // at most so many; 0 for all
	// ChangedSince leaves out nodes that were last written by a commit up to this sequence, which is one of the partition's
	// present epoch; 0 for all. It costs a look at every row, and the reading of few.
	ChangedSince uint64
}

// ChatStatus says how telling stands with one chat.
type ChatStatus struct {
	Chat      string
	Active    bool      // a notifier holds its lease
	Waiting   int       // alerts not told yet, without those that are held
	Oldest    time.Time // found time of the oldest of them; zero for none
	LastError string    // of the last attempt, "" when it succeeded; words for people, no secrets
	LastTold  time.Time // zero for never
}

// Status is how the monitor itself stands, in the database's eyes.
type Status struct {
	Clock        node.Clock
	Owner        string
	Term         int64
	CommittedAge time.Duration      // since the last commit, by the database's clock; or until it, should that have stepped back
	Counts       map[node.State]int // those of Clock, or where a program wrote it that did not count, those of the nodes stored
	Chats        []ChatStatus       // by name, without retired ones
}

// ToldAlert says what became of one alert in one chat. It is told, or it waits, or it says why it is not told.
type ToldAlert struct {
	ID        string // of the event
	Chat      string
	At        time.Time // when it was told; zero while it was not
	Message   int64     // Telegram's id of the message that told it; 0 while it was not
	Waiting   bool      // to be told: in no notification, or in one that is not accepted yet
	Held      string    // why it is not told for now: Silenced or Flapping
	Untold    string    // why it never will be told
	LastError string    // of the last attempt to tell it, while it waits
}

// Reader is the page's side. It writes nothing.
type Reader interface {
	History
	// Nodes returns the selected nodes in the order asked for, and where that makes no difference by id. Texts are
	// compared bytewise.
	Nodes(ctx context.Context, q NodeQuery) ([]node.Node, error)
	// Events returns the newest events, newest first; of one node, or of all and the monitor when nodeID is "".
	Events(ctx context.Context, nodeID string, limit int) ([]StoredEvent, error)
	// Annotations returns a node's newest annotations by the agent's time, newest first.
	Annotations(ctx context.Context, nodeID string, limit int) ([]node.Annotation, error)
	// Tellings returns what became of the newest alerts about a node in every chat, newest first.
	Tellings(ctx context.Context, nodeID string, limit int) ([]ToldAlert, error)
	// Status of a partition. Term 0 when no evaluator ever ran.
	Status(ctx context.Context, partition int) (Status, error)
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
}

// Store is everything, as opened by an engine.
type Store interface {
	Writer
	Reader
	Deliveries
	Quieting
	Pollers
	Access
	Close() error
}
