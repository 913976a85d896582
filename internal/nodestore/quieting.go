package nodestore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// ErrNotFound means that there is no such thing, or that it is over.
var ErrNotFound = errors.New("there is no such thing")

// What a silence covers.
const (
	ScopeNode  = "node"  // the node whose id is Value
	ScopeLabel = "label" // nodes with the label Value, k=v
	ScopeAll   = "all"   // all nodes; monitor events are told
)

// Silence is a window in which alerts about some nodes are recorded but not told.
type Silence struct {
	ID           int64
	Scope, Value string
	By, Note     string
	From, Until  time.Time // From included, Until not
	Ended        time.Time // when it was ended before its time, zero for not
}

// Covers reports whether a silence is about a node, whose meta has its labels.
func (s Silence) Covers(nodeID, meta string) bool {
	switch s.Scope {
	case ScopeAll:
		return true
	case ScopeNode:
		return s.Value == nodeID
	case ScopeLabel:
		return slices.Contains(Labels(meta), s.Value)
	}
	return false
}

// Labels reads a node's meta: k=v, separated by commas, semicolons or spaces. What is no label is left out.
func Labels(meta string) (out []string) {
	for field := range strings.FieldsFuncSeq(meta, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		if strings.Contains(field, "=") {
			out = append(out, field)
		}
	}
	return out
}

// Acknowledgement says that somebody takes care of an incident, so that nobody is reminded of it.
type Acknowledgement struct {
	NodeID   string
	Incident node.Stamp // when it began
	By       string
	At       time.Time
}

// Quieting is what people say about alerts: silences and acknowledgements.
type Quieting interface {
	// Silences returns the silences that are not over at the given time: active ones, and those to come.
	Silences(ctx context.Context, now time.Time) ([]Silence, error)
	// AddSilence stores a silence and returns it with its ID.
	AddSilence(ctx context.Context, s Silence) (Silence, error)
	// EndSilence ends a silence before its time. ErrNotFound when there is none, or when it was ended before.
	EndSilence(ctx context.Context, id int64, by string) error
	// Acknowledge records who takes care of an incident, and returns who does: the first who said so.
	Acknowledge(ctx context.Context, nodeID string, incident node.Stamp, by string) (Acknowledgement, error)
	// Acknowledgements returns, by node, those of the nodes' present incidents.
	Acknowledgements(ctx context.Context, nodeIDs []string) (map[string]Acknowledgement, error)
	// Notification returns one by its ID. ErrNotFound when there is none.
	Notification(ctx context.Context, id int64) (Notification, error)
}

// PollerLease says which program asks Telegram for a bot's updates.
type PollerLease struct {
	Bot, Owner string
	Term       int64
	// Next is the first update that was not handled yet, as the holder said last; 0 for none yet.
	Next int64
	// Renewed changes with every renewal and says nothing else; as in ChatLease.
	Renewed int64
}

// Pollers are the leases of bots. As with chats, only the caller's own clock says that one has run out.
type Pollers interface {
	// AcquirePoller takes the bot's lease when it was released, or is owner's already; the term grows. Else ErrHeld, and
	// the lease as it stands, for TakeOverPoller.
	AcquirePoller(ctx context.Context, bot, owner string, ttl time.Duration) (PollerLease, error)
	// TakeOverPoller takes a lease that is still as it was seen. Else ErrHeld.
	TakeOverPoller(ctx context.Context, seen PollerLease, owner string, ttl time.Duration) (PollerLease, error)
	// RenewPoller renews a lease for the ttl it was taken for, and records the first update that was not handled yet.
	// ErrFenced when it was taken over.
	RenewPoller(ctx context.Context, l PollerLease, next int64) error
	// ReleasePoller gives the lease back. ErrFenced when it was taken over.
	ReleasePoller(ctx context.Context, l PollerLease) error
}
