package nodestore

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// ErrAfter means that a place to go on from is none of the order asked for.
var ErrAfter = errors.New("this is no place to go on from")

// IncidentQuery selects incidents. The zero value selects all.
type IncidentQuery struct {
	NodeID   string // of this node; "" for all
	OpenOnly bool
	After    string // the Key of an incident; those after it. "" for the first. ErrAfter when it is none
	Limit    int    // at most so many; 0 for 100
}

// Incident is from a node's leaving up to its being up again.
type Incident struct {
	Key          string // its place in the order, for IncidentQuery.After
	NodeID, Name string
	Began        node.Stamp
	Ended        node.Stamp // zero while it lasts
	Deleted      bool       // it ended since the node was deleted
	By           string     // who deleted it

	// State is the worst that the node was: down or lost, whichever came first, else degraded. Reason and Evidence are
	// those with which it became so. That it was lost with all others (deaf) counts less than a reason of its own.
	State            node.State
	Reason, Evidence string

	Acknowledgement Acknowledgement // the zero value for none
}

// Sample is what the agent of a node sent at one time. nil is not known.
type Sample struct {
	NodeID string
	At     node.Stamp // when it was heard
	Round  *int64     // the one that the node worked on
	// Percent of what there is, 0 to 100, to a tenth: use of all processors, memory in use, room in use on the disk of
	// the workload (else of the system), use of all GPUs together, memory in use of all GPUs together.
	CPU, Memory, Disk, GPUUse, GPUMemory *float64
	GPUTemp                              *float64 // °C of the hottest GPU, to a tenth
}

// SampleEvery is how far apart the samples of a node are: one is kept in each slot of this length.
const SampleEvery = 10 * time.Minute

// SampleSlot is the slot that a sample belongs to. Slots of different nodes begin at different times, so that not all
// nodes have a sample to be stored at once.
func SampleSlot(nodeID string, at node.Stamp) int64 {
	return (int64(at) + SampleShift(nodeID)) / int64(SampleEvery)
}

// SampleShift is how many nanoseconds the slots of a node begin before those of a node with none.
func SampleShift(nodeID string) int64 {
	h := fnv.New64a()
	h.Write([]byte(nodeID))
	return int64(h.Sum64() % uint64(SampleEvery))
}

// History is what the page reads of the past.
type History interface {
	// Transitions returns, by node, what Course needs of its events: those of the kinds Joined, Changed and Deleted,
	// oldest first, from the last before since on. Only ID, Kind, NodeID, From, To and At are set. A node whose events
	// were all pruned has one, that it joined in its present state; a node that is unknown has none.
	Transitions(ctx context.Context, nodeIDs []string, since node.Stamp) (map[string][]node.Event, error)
	// BlindSpans returns the blind and deaf spans that end after since, or last, in the order in which they were found; and
	// all, however old, whose end is before their start: there the clock was turned back, and Course must know that what
	// was before was lived once more.
	BlindSpans(ctx context.Context, since node.Stamp) ([]node.Span, error)
	// Incidents returns those that last, the last begun first, and then those that are over, the last ended first. Some
	// that end between two pages may stand on neither.
	Incidents(ctx context.Context, q IncidentQuery) ([]Incident, error)
	// Samples returns a node's samples heard at since or later, oldest first.
	Samples(ctx context.Context, nodeID string, since node.Stamp) ([]Sample, error)
}
