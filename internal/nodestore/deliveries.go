package nodestore

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// ChatLease says which notifier tells a chat, and so keeps its pace.
type ChatLease struct {
	Chat  string
	Owner string
	Term  int64
	// Renewed changes with every renewal and says nothing else. It is set where a lease is looked at, not where it is
	// acquired.
	Renewed int64
	// MovedTo is the chat that its messages go to since Telegram moved it, "" for itself. It is set where a lease is
	// acquired or taken over, and by ChatLeases.
	MovedTo string
}

// Why an alert is held back, what is said of it besides, or why it is never told.
const (
	Silenced = "silenced" // a silence covers its node
	Flapping = "flapping" // its node changes too often to be told of each change
	Flapped  = "flapped"  // it was held while its node was flapping, and is summed up
	GivenUp  = "given up" // its chat was retired for long
)

// Notification is one message to one chat. Once frozen its text never changes: after a crash the same is sent again. Only
// one that certainly was not accepted may be thawed, so that one message tells what has happened since, too.
type Notification struct {
	ID       int64
	Chat     string
	Text     string // as its sender takes it: HTML as Telegram understands it, or JSON
	ReplyTo  int64  // Telegram's id of the message it answers; 0 for none
	Attempts int
	Alerts   int // how many it tells
	// NodeID and Incident say that it tells one node's failure and nothing else, so that it may be acknowledged; ""
	// and 0 else.
	NodeID   string
	Incident node.Stamp
}

// Alert is an event that waits to be told to a chat, or is held.
type Alert struct {
	ID string // of the event
	StoredEvent
	Mark string // what is to be said besides: Silenced, Flapping, Flapped or ""
	// Known is the failure of its node that the chat was told and that no event has ended before this one, "" for none;
	// ReplyTo is Telegram's id of the message that told it, 0 for none.
	Known   node.State
	ReplyTo int64
	// Incident is when the incident of its node began that lasts now; 0 when the node is up, or is gone.
	Incident node.Stamp
}

// Digest is all that waits for a chat, counted by the database: one entry a node, by the last of its alerts. Monitor
// events count as entries of their own, all of one kind as one.
type Digest struct {
	Alerts   int          // that wait, up to Last
	Last     node.EventID // the last of them
	Oldest   time.Time    // when the first of them was found
	Entries  int
	From, To node.Stamp    // times of the first and the last of them
	Counts   []DigestCount // all entries, by what became of them
	Reasons  []DigestCount // of those not up, by reason, the most frequent first; at most as many as asked for
	Monitor  []Alert       // the last monitor event of each kind, deaf and hearing being one
	First    []Alert       // failures in their order; at most as many as asked for
}

// DigestCount is how many entries have something in common.
type DigestCount struct {
	Kind    node.Kind
	To      node.State
	Reason  string // in Digest.Reasons alone
	Back    bool   // it is up, as it was before the first of its alerts
	Entries int
}

// Candidate is an event as it is to be decided about for one chat.
type Candidate struct {
	StoredEvent
	// Fourth is the time of the fourth last change of the node before this one, without quiet ones; 0 for none.
	Fourth node.Stamp
	// FlapSince and FlapLast say that the node is flapping for the chat: since when, and when it changed last; else 0.
	FlapSince, FlapLast node.Stamp
	// Owed: the node is up again after a failure that has a delivery in this chat.
	Owed bool
}

// Choice is what is done about a candidate.
type Choice struct {
	Skip bool   // no delivery: quiet, or another chat's
	Held string // Silenced, Flapping, or "" to tell it
	Mark string // Flapping at the change from which on the node is flapping
}

// Chooser decides about events.
type Chooser struct {
	// Quiet is the time from which on silences matter: Choose gets those that are not over by then. A silence that was
	// added before an event was committed is among them.
	Quiet time.Time
	// Choose gets events in their order and returns a choice for each. It may be called again with the same.
	Choose func(silences []Silence, events []Candidate) []Choice
}

// Held is a node with alerts that are held for one reason.
type Held struct {
	Alert               // the last of them; Known and ReplyTo are what the chat knew before the first
	Alerts              int
	First               node.Stamp // time of the first of them
	FlapSince, FlapLast node.Stamp // as in Candidate
}

// Release says what becomes of a node's held alerts.
type Release struct {
	NodeID string
	Held   string // for which reason they are held
	// One of these: they wait to be told with this mark, are never told for this reason, or are held for another one.
	Mark, Untold, Hold string
	// EndFlap ends the flapping of the node; else it goes on, its next sum counting from FlapSince (0 leaves it).
	EndFlap   bool
	FlapSince node.Stamp
}

// Failing is a node that is down or lost, with what a chat heard of it.
type Failing struct {
	NodeID, Name, Meta, IP string
	State                  node.State
	Reason                 string
	Since, Incident        node.Stamp
	Nth                    int64     // of the last reminder of this incident to the chat; 0 for none
	Told                   time.Time // when the chat was last told a failure of this incident; zero for never
	Message                int64     // that told it, 0 for none
}

// Reminder is one reminder of a node, the nth of its incident.
type Reminder struct {
	NodeID   string
	Incident node.Stamp
	Nth      int64
}

// Draft is a notification to be frozen, and what it tells.
type Draft struct {
	Text    string
	ReplyTo int64
	// Alerts is how many alerts wait up to the event Last: all of them are told by it.
	Alerts    int
	Last      node.EventID
	Reminders []Reminder
	Summary   string // the day that it sums up, yyyy-mm-dd; "" for none
	NodeID    string // as in Notification
	Incident  node.Stamp
}

// Burden is a message that was told to a chat lately.
type Burden struct {
	Ago      time.Duration // since then, by the database's clock
	Alerts   int
	Failures int // of them: of nodes that were down, lost or degraded then
}

// Flow is what shows that heartbeats come all the way through, and that people are told.
type Flow struct {
	Epoch    int64      // of the committed position
	Accepted node.Stamp // of the last committed message with a heartbeat; zero for none yet
	// Untold is the id of the oldest event that a chat is not told of yet, "" for none, and UntoldAge how long ago it
	// was found, by the database's clock. What is held, and chats that were retired, do not count.
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
	// and stays in the record as not told. A new chat that another one has moved to goes on where that one stood, with
	// what it was not told, and the other one is retired. ttl is what the page believes, not what ends the lease.
	AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (ChatLease, error)
	// TakeOverChat takes a lease that is still as it was seen. The caller has seen it so for longer than its owner
	// believes in a lease that it does not renew. Else ErrHeld.
	TakeOverChat(ctx context.Context, seen ChatLease, owner string, ttl time.Duration) (ChatLease, error)
	// ChatLeases returns the leases of all chats that are not retired, by chat.
	ChatLeases(ctx context.Context) ([]ChatLease, error)
	// RetireChat says that nobody is configured to tell the chat any more, provided that its lease is still as it was
	// seen; else ErrHeld. The chat is in no status until it is acquired again. What it was not told stays recorded.
	RetireChat(ctx context.Context, seen ChatLease) error
	// MoveChat records that the chat's messages go to another one from now on. What was told before stays recorded, but
	// there is no message in the new chat that could be answered.
	MoveChat(ctx context.Context, l ChatLease, to string) error
	RenewChat(ctx context.Context, l ChatLease, ttl time.Duration) error
	ReleaseChat(ctx context.Context, l ChatLease) error
	// Flow of a partition. The zero value when no evaluator ever ran.
	Flow(ctx context.Context, partition int) (Flow, error)

	// Collect turns events after the chat's cursor into deliveries as choose decides, at most limit events, and moves
	// the cursor, in one transaction. Quiet events are skipped without asking. It returns how many events it passed, so
	// that 0 means the chat is up to date.
	Collect(ctx context.Context, l ChatLease, limit int, choose Chooser) (int, error)
	// Hold holds back, for a reason, the waiting alerts about nodes that covered reports, in one transaction. covered is
	// asked with the labels that the node had when it happened, and not about monitor events.
	Hold(ctx context.Context, l ChatLease, held string, covered func(nodeID, meta string) bool) error
	// Held returns nodes with alerts held for a reason, by id, from after the given id on. For Flapping these are only
	// nodes that are due: those whose last change is not after last, or which flap since no later than since; nodes
	// that are due and have nothing held come with Alerts 0, and no event but its NodeID.
	Held(ctx context.Context, l ChatLease, held, after string, last, since node.Stamp, limit int) ([]Held, error)
	// Free does with held alerts what each release says, in one transaction.
	Free(ctx context.Context, l ChatLease, rs []Release) error

	// Frozen returns the notification that was frozen and not yet told, or nil.
	Frozen(ctx context.Context, l ChatLease) (*Notification, error)
	// Waiting returns the oldest alerts that wait, in the order of their events.
	Waiting(ctx context.Context, l ChatLease, limit int) ([]Alert, error)
	// Digest counts all alerts that wait. The lists in it have at most so many entries.
	Digest(ctx context.Context, l ChatLease, reasons, first int) (Digest, error)
	// Freeze stores a notification and binds to it what it tells, in one transaction. It is an error when another
	// one is frozen, when another number of alerts waits, or when a reminder or a summary was told before.
	Freeze(ctx context.Context, l ChatLease, d Draft) (Notification, error)
	// Told records in one update that the notification, and so all its alerts, were accepted as messageID.
	Told(ctx context.Context, l ChatLease, notification, messageID int64) error
	// Failed records that an attempt at the notification failed, in words for people.
	Failed(ctx context.Context, l ChatLease, notification int64, reason string) error
	// Thaw undoes Freeze, for a notification that certainly reached nobody: what it was to tell waits again.
	Thaw(ctx context.Context, l ChatLease, notification int64) error
	// Traces returns the different traces of the events that a notification tells, at most limit of them, in the order of
	// their first events. Most events have none.
	Traces(ctx context.Context, notification int64, limit int) ([]string, error)
	// Burdens are the messages that were told to the chat within the given time, oldest first.
	Burdens(ctx context.Context, l ChatLease, within time.Duration) ([]Burden, error)

	// Silences returns the silences that are not over at the given time: active ones, and those to come.
	Silences(ctx context.Context, now time.Time) ([]Silence, error)
	// EachFailing calls visit for every node whose incident began no later than the given stamp, which is down or lost
	// and worth telling so, whose incident nobody acknowledged, and which for the chat neither flaps nor has held
	// alerts; by id.
	EachFailing(ctx context.Context, l ChatLease, began node.Stamp, visit func(Failing) error) error
	// Summed reports whether a day's summary for the chat is frozen or told.
	Summed(ctx context.Context, l ChatLease, day string) (bool, error)
	// EachNode calls visit for every node, by id.
	EachNode(ctx context.Context, visit func(node.Node) error) error
	// EachEvent calls visit for events, the newest first, back to the first that was found before since.
	EachEvent(ctx context.Context, since time.Time, visit func(StoredEvent) error) error
	// LostSince counts the nodes that are lost since the given stamp or later, and all nodes.
	LostSince(ctx context.Context, since node.Stamp) (lost, all int, err error)
}
