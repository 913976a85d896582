// Package fleet simulates agents that report to the monitor, and remembers the truth: what each node was when, and
// which heartbeats were acknowledged.
package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Phase is what a node truly is.
type Phase string

// A node works, reports that its work failed, or is silent.
const (
	Works   Phase = "works"
	Reports Phase = "reports"
	Silent  Phase = "silent"
)

// Options say what is simulated.
type Options struct {
	URLs     []string // of the ingests; an agent that fails at one tries the next
	Secret   string
	Prefix   string // of the node ids
	Nodes    int
	Interval time.Duration // between the heartbeats of a node, at least a second: ingest takes no more
	Limit    time.Duration // for one request; 0 for 2.5 s
	Seed     uint64
	// Transport carries the requests; nil for one of the fleet's own.
	Transport *http.Transport
	Old       bool // agents of the first generation: no boot_id, no seq, no interval_sec
}

// Fleet is a number of simulated agents.
type Fleet struct {
	o      Options
	client *http.Client
	agents []*agent

	mu      sync.Mutex
	answers map[int]int // by status; 0 for none
}

// New makes the agents; they all work.
func New(o Options) *Fleet {
	if o.Limit == 0 {
		o.Limit = 2500 * time.Millisecond
	}
	f := &Fleet{o: o, answers: make(map[int]int)}
	if o.Transport == nil {
		o.Transport = &http.Transport{MaxIdleConnsPerHost: o.Nodes, IdleConnTimeout: time.Minute}
	}
	f.client = &http.Client{
		Transport:     o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i := range o.Nodes {
		f.agents = append(f.agents, &agent{
			fleet: f, id: fmt.Sprintf("%s-%03d", o.Prefix, i), ip: fmt.Sprintf("203.0.113.%d", i%250),
			rng:  rand.New(rand.NewPCG(o.Seed, uint64(i))),
			wish: Works, wake: make(chan struct{}, 1), server: i,
		})
	}
	return f
}

// Run lets all agents report until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, a := range f.agents {
		wg.Go(func() { a.run(ctx) })
	}
	wg.Wait()
	f.client.CloseIdleConnections()
}

// IDs are the ids of all nodes.
func (f *Fleet) IDs() []string {
	out := make([]string, len(f.agents))
	for i, a := range f.agents {
		out[i] = a.id
	}
	return out
}

// Set changes what the node at this index is, as soon as its agent is between two heartbeats.
func (f *Fleet) Set(i int, p Phase) { f.agents[i].set(p) }

// SetAll changes what all nodes are.
func (f *Fleet) SetAll(p Phase) {
	for _, a := range f.agents {
		a.set(p)
	}
}

// Answers counts what the agents were answered, by status; 0 is no answer.
func (f *Fleet) Answers() map[int]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[int]int, len(f.answers))
	for s, n := range f.answers {
		out[s] = n
	}
	return out
}

func (f *Fleet) answered(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[status]++
}

// Node is the truth about one node.
type Node struct {
	ID    string
	Spans []Span // of its phases, in order, without holes from its start on
	Acked []Ack  // in order
	// Refused are heartbeats that were answered 503 at every try.
	Refused []Ack
}

// Span is a time in which a node was one thing. The zero To means that it still is.
type Span struct {
	Phase    Phase
	From, To time.Time
}

// Ack is one heartbeat that was answered 200.
type Ack struct {
	Meta   string // distinct for each heartbeat of a node
	Status string
	At     time.Time // of the answer
}

// Truth is all that is known of the nodes now.
func (f *Fleet) Truth() []Node {
	out := make([]Node, len(f.agents))
	for i, a := range f.agents {
		out[i] = a.truth()
	}
	return out
}

// Phase is what the node was last.
func (n Node) Phase() Phase {
	if len(n.Spans) == 0 {
		return Silent
	}
	return n.Spans[len(n.Spans)-1].Phase
}

// Reporting says whether the node's agent was trying to report all the time from one moment to another.
func (n Node) Reporting(from, to time.Time) bool {
	covered := false
	for _, s := range n.Spans {
		if !s.To.IsZero() && s.To.Before(from) || s.From.After(to) {
			continue
		}
		if s.Phase == Silent {
			return false
		}
		covered = covered || !s.From.After(from)
	}
	return covered
}

// SaidDown says whether the node's agent had begun to report failing work by then.
func (n Node) SaidDown(by time.Time) bool {
	for _, s := range n.Spans {
		if s.Phase == Reports && !s.From.After(by) {
			return true
		}
	}
	return false
}
