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
	// Load reads the fold as committed. ErrFenced when the term is no longer the lease's.
	Load(ctx context.Context, l Lease) (node.Snapshot, error)
	// Commit stores the changes in one transaction, provided that the term is the lease's and the position is still
	// from (epoch and sequence); else ErrFenced and nothing is written. Removed nodes are deleted before Nodes are
	// written. Committing an event whose id exists keeps the stored one, as does an annotation of the same NodeID, At
	// and Status. Any error but ErrFenced leaves open whether it was committed: ask Committed.
	Commit(ctx context.Context, l Lease, from node.Position, c node.Changes) error
	// Record stores one event that no message brought (Stalled, Outdated), with the lease's term as fence. An event
	// whose id exists is kept as it is stored: added is false then.
	Record(ctx context.Context, l Lease, e node.Event) (added bool, err error)
	// Committed reads term and position as stored, whoever holds the lease. Term 0 when the partition does not exist.
	Committed(ctx context.Context, partition int) (term int64, p node.Position, err error)
	// Prune deletes events found more than age ago, and notifications and deliveries about them, at most limit
	// events a call; and likewise annotations. It returns how many of the one of which it deleted more.
	Prune(ctx context.Context, l Lease, age time.Duration, limit int) (int, error)
}

// StoredEvent is an event with the database's time of the commit that brought it.
type StoredEvent struct {
	node.Event
	Found time.Time // UTC
}

// NodeQuery selects nodes. The zero value selects all.
type NodeQuery struct {
	States []node.State // any of them; empty for all
	Search string       // a substring of id, name, ip, meta or reason, in any case; taken literally
	After  string       // ids greater than this
	Limit  int          // at most so many; 0 for all
}

// ChatStatus says how telling stands with one chat.
type ChatStatus struct {
	Chat      string
	Active    bool      // a notifier holds its lease
	Waiting   int       // alerts not told yet
	Oldest    time.Time // found time of the oldest of them; zero for none
	LastError string    // of the last attempt, "" when it succeeded; words for people, no secrets
	LastTold  time.Time // zero for never
}

// Status is how the monitor itself stands, in the database's eyes.
type Status struct {
	Clock        node.Clock
	Owner        string
	Term         int64
	CommittedAge time.Duration // since the last commit, by the database's clock; or until it, should that have stepped back
	Counts       map[node.State]int
	Chats        []ChatStatus // by name, without retired ones
}

// Reader is the page's side. It writes nothing.
type Reader interface {
	// Nodes returns the selected nodes ordered by id (bytewise).
	Nodes(ctx context.Context, q NodeQuery) ([]node.Node, error)
	// Events returns the newest events, newest first; of one node, or of all and the monitor when nodeID is "".
	Events(ctx context.Context, nodeID string, limit int) ([]StoredEvent, error)
	// Annotations returns a node's newest annotations by the agent's time, newest first.
	Annotations(ctx context.Context, nodeID string, limit int) ([]node.Annotation, error)
	// Status of a partition. Term 0 when no evaluator ever ran.
	Status(ctx context.Context, partition int) (Status, error)
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
}

// ChatLease says which notifier tells a chat, and so keeps its pace.
type ChatLease struct {
	Chat  string
	Owner string
	Term  int64
	// Renewed changes with every renewal and says nothing else. It is set where a lease is looked at, not where it is
	// acquired.
	Renewed int64
}

// Notification is one message to one chat. Once frozen its text never changes: after a crash the same is sent again.
type Notification struct {
	ID       int64
	Chat     string
	Text     string // HTML as Telegram understands it
	ReplyTo  int64  // Telegram's id of the message it answers; 0 for none
	Attempts int
}

// Alert is an event that waits to be told to a chat.
type Alert struct {
	ID string // of the event
	StoredEvent
	// ReplyTo is Telegram's id of the message that told the failure which this event ends, 0 when unknown.
	ReplyTo int64
}

// Flow is what shows that heartbeats come all the way through, and that people are told.
type Flow struct {
	Epoch    int64      // of the committed position
	Accepted node.Stamp // of the last committed message with a heartbeat; zero for none yet
	// Untold is the id of the oldest event that a chat is not told of yet, "" for none, and UntoldAge how long ago it
	// was found, by the database's clock. Chats that were retired do not count.
	Untold    string
	UntoldAge time.Duration
}

// Returning is after how long a retired chat that is told again counts as a new one.
const Returning = 24 * time.Hour

// Deliveries is the notifier's side. Every call with a lease returns ErrFenced when it was taken over.
//
// No clock but the caller's own says that a chat's lease has run out: the database's may step. A lease that is as it
// was before is one whose owner does not renew it.
type Deliveries interface {
	// AcquireChat takes the chat's lease when it was released, or is owner's already; every time the term grows. Else
	// ErrHeld, and the lease as it stands, for TakeOverChat. A chat seen for the first time hears of events that were
	// found during the last lookback, not of all history. A chat that was retired for less than Returning hears of all
	// that it missed; after a longer time it is like a new one: what it was not told before the lookback is given up,
	// and stays in the record as not told. ttl is what the page believes, not what ends the lease.
	AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (ChatLease, error)
	// TakeOverChat takes a lease that is still as it was seen. The caller has seen it so for longer than its owner
	// believes in a lease that it does not renew. Else ErrHeld.
	TakeOverChat(ctx context.Context, seen ChatLease, owner string, ttl time.Duration) (ChatLease, error)
	// ChatLeases returns the leases of all chats that are not retired, by chat.
	ChatLeases(ctx context.Context) ([]ChatLease, error)
	// RetireChat says that nobody is configured to tell the chat any more, provided that its lease is still as it was
	// seen; else ErrHeld. The chat is in no status until it is acquired again. What it was not told stays recorded.
	RetireChat(ctx context.Context, seen ChatLease) error
	// Flow of a partition. The zero value when no evaluator ever ran.
	Flow(ctx context.Context, partition int) (Flow, error)
	RenewChat(ctx context.Context, l ChatLease, ttl time.Duration) error
	ReleaseChat(ctx context.Context, l ChatLease) error
	// Collect turns events after the chat's cursor into waiting deliveries, without the quiet ones, and moves the
	// cursor; at most limit events. It returns how many events it passed, so that 0 means the chat is up to date.
	Collect(ctx context.Context, l ChatLease, limit int) (int, error)
	// Frozen returns the notification that was frozen and not yet told, or nil.
	Frozen(ctx context.Context, l ChatLease) (*Notification, error)
	// Waiting returns the oldest alerts that are in no notification, in the order of their events.
	Waiting(ctx context.Context, l ChatLease, limit int) ([]Alert, error)
	// Freeze stores a notification and binds the alerts to it, in one transaction.
	Freeze(ctx context.Context, l ChatLease, text string, replyTo int64, alerts []string) (Notification, error)
	// Told records in one update that the notification, and so all its alerts, were accepted as messageID.
	Told(ctx context.Context, l ChatLease, notification, messageID int64) error
	// Failed records that an attempt at the notification failed, in words for people.
	Failed(ctx context.Context, l ChatLease, notification int64, reason string) error
}

// Store is everything, as opened by an engine.
type Store interface {
	Writer
	Reader
	Deliveries
	Close() error
}
