package ondown

import (
	"context"
	"fmt"
	"log"
	"time"
)

// Node is what was found of one node.
type Node struct {
	ID, Name         string
	Down             bool
	Reason, Evidence string
	Dir, Supervisor  string // of the workload, "" where unknown
}

// Result is how a run ended.
type Result struct {
	NodeID string
	Begun  time.Time
	Took   time.Duration
	Reason string // one of the reasons below
	Exit   string // "exit status 1"
	Last   string // the last line of its output, without secrets
}

// The reasons of results.
const (
	ReasonEnded   = "on_down_ended"   // with exit status 0
	ReasonFailed  = "on_down_failed"  // with another, or it could not begin
	ReasonTimeout = "on_down_timeout" // killed after Timeout
	ReasonStopped = "on_down_stopped" // killed because the agent was stopped
)

// String is the result in a few words.
func (r Result) String() string {
	s := fmt.Sprintf("%s after %v", r.Exit, r.Took.Round(time.Second/10))
	if r.Last != "" {
		s += ": " + r.Last
	}
	return s
}

// Options are the parts of a Runner. All are required.
type Options struct {
	Config
	Now    func() time.Time
	Run    func(ctx context.Context, n Node) Result // runs the command; NodeID and times are filled in by the Runner
	Exists func(file string) bool
	Load   func(nodeID string) Memory
	Save   func(nodeID string, m Memory) // for good: a run does not begin before
	Log    *log.Logger
}

// Runner runs the command for one node at a time. It is used by one goroutine at a time.
type Runner struct {
	Options
	started time.Time
	downs   map[string]int
	held    bool // the stop file is there, and that was logged
	running string
	begun   time.Time
	done    chan Result
}

// New makes a runner. The grace counts from now.
func New(o Options) *Runner {
	return &Runner{Options: o, started: o.Now(), downs: make(map[string]int), done: make(chan Result, 1)}
}

// Observe takes what one beat found, and begins a run for the first node for which one is due. It returns the run that
// ended since the last call, or nil. A run under way is killed when ctx ends.
func (r *Runner) Observe(ctx context.Context, nodes []Node) *Result {
	if r.Command == "" {
		return nil
	}
	ended := r.ended()
	now := r.Now()
	for _, n := range nodes {
		if n.Down {
			r.downs[n.ID]++
			continue
		}
		r.downs[n.ID] = 0
		if m := r.Load(n.ID); m.Tries > 0 && !now.Before(m.Ended.Add(r.Grace)) {
			m.Tries = 0
			r.Save(n.ID, m)
		}
	}
	for _, n := range nodes {
		m := r.Load(n.ID)
		if m.settle(now) {
			r.Save(n.ID, m)
		}
		if r.running == "" && r.due(m, r.downs[n.ID], r.started, now) && !r.stopped() {
			r.begin(ctx, n, m)
		}
	}
	return ended
}

// Running is the node for which a run is under way, "" for none.
func (r *Runner) Running() string { return r.running }

// Wait waits for the run under way, if any, and returns it.
func (r *Runner) Wait() *Result {
	if r.running == "" {
		return nil
	}
	return r.end(<-r.done)
}

// stopped reports whether the stop file is there. It says so once.
func (r *Runner) stopped() bool {
	there := r.StopFile != "" && r.Exists(r.StopFile)
	if there && !r.held {
		r.Log.Printf("ON_DOWN_CMD does not run: %s is there", r.StopFile)
	}
	r.held = there
	return there
}

func (r *Runner) begin(ctx context.Context, n Node, m Memory) {
	r.running, r.begun = n.ID, r.Now()
	m.Tries++
	m.Begun, m.Ended = append(m.lastHour(r.begun), r.begun), r.begun
	r.Save(n.ID, m)
	r.Log.Printf("ON_DOWN_CMD runs for %s, which is down (%s), run %d", n.ID, n.Reason, m.Tries)
	go func() { r.done <- r.Run(ctx, n) }()
}

func (r *Runner) ended() *Result {
	select {
	case result := <-r.done:
		return r.end(result)
	default:
		return nil
	}
}

func (r *Runner) end(result Result) *Result {
	now := r.Now()
	result.NodeID, result.Begun = r.running, r.begun
	r.running = ""
	m := r.Load(result.NodeID)
	m.Ended = now
	r.Save(result.NodeID, m)
	r.Log.Printf("ON_DOWN_CMD for %s: %s", result.NodeID, result)
	return &result
}
