// Package agent watches the nodes of one machine and reports them to a monitor, heartbeat by heartbeat.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// jitter is how far an interval may stray, as a share of it: so that a thousand agents do not report at one instant.
const jitter = 0.05

// The waits between attempts to deliver one report, when the server names none: a random part of the first, then of the
// double, and so on to the last.
const (
	firstBackoff = time.Second
	mostBackoff  = 15 * time.Second
)

// Options are the parts of an Agent. Config, Profile and Send are required.
type Options struct {
	Config  Config
	Version string
	Profile probe.Profile
	Send    func(ctx context.Context, h contract.Heartbeat) error
	Metrics func(ctx context.Context) contract.Metrics // of this machine; nil: none
	Offset  func() (time.Duration, bool)               // of the server's clock; nil: unknown
	Address func(ctx context.Context) string           // of this machine; nil: unknown
	Boot    func() (id string, seq int64)              // nil: unknown
	State   *State                                     // nil: nothing is kept
	OnDown  *ondown.Command                            // runs Config.OnDown; nil: it does not run
	Rest    func()                                     // called before each wait for the next heartbeat; nil: nothing
	Log     *log.Logger                                // nil: stderr
	Now     func() time.Time                           // nil: time.Now
	Random  func() float64                             // in [0,1); nil: math/rand
}

// Agent collects reports and delivers them. It is used by one goroutine at a time.
type Agent struct {
	Options
	journal journal
	runner  *ondown.Runner                  // nil while it does not run
	runs    map[string]*contract.CommandRun // the last one of each node
	beats   int
	unkept  string // why the state could not be kept, as last logged
}

// New makes an agent.
func New(o Options) *Agent {
	if o.Log == nil {
		o.Log = log.New(os.Stderr, "", log.LstdFlags)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Address == nil {
		o.Address = func(context.Context) string { return "" }
	}
	if o.Boot == nil {
		o.Boot = func() (string, int64) { return "", 0 }
	}
	if o.Offset == nil {
		o.Offset = func() (time.Duration, bool) { return 0, false }
	}
	if o.State == nil {
		o.State, _ = OpenState("") // keeps nothing, so it cannot fail
	}
	if o.Rest == nil {
		o.Rest = func() {}
	}
	return &Agent{Options: o,
		journal: journal{log: o.Log, now: o.Now, told: make(map[string]string)},
		runs:    make(map[string]*contract.CommandRun)}
}

// Run reports at once and then every interval until ctx ends. Troubles are logged, never returned.
func (a *Agent) Run(ctx context.Context) {
	a.watchDown()
	a.Rest() // what it took to begin is not needed while the first heartbeat is sent
	for gap := a.firstGap(); ctx.Err() == nil; gap = a.stray(a.Config.Interval, jitter) {
		begun := a.Now()
		if a.beat(ctx, a.Config.Interval) == nil { // troubles are in the journal
			a.State.accepted()
		}
		a.Rest()
		wait(ctx, begun.Add(gap).Sub(a.Now()))
	}
	a.stopDown()
}

// firstGap is the time from the first heartbeat to the second: any part of the interval, so that agents of machines
// that were switched on together do not report together ever after.
func (a *Agent) firstGap() time.Duration {
	return time.Duration((0.1 + 0.9*a.Random()) * float64(a.Config.Interval))
}

// Once reports one time, trying again for less than an interval. It returns nil when the monitor accepted the report;
// an error has been logged.
func (a *Agent) Once(ctx context.Context) error { return a.beat(ctx, 0) }

// beat collects and sends until all is accepted, refused for good, or time for the next. Each attempt tells anew how
// the nodes are, so that no old state arrives after a newer one. Failures go to the journal.
func (a *Agent) beat(ctx context.Context, interval time.Duration) error {
	a.beats++
	deadline := a.Now().Add(lastAttempt(a.Config.Interval))
	accepted := make(map[string]bool)
	for backoff, first := firstBackoff, true; ; backoff, first = min(2*backoff, mostBackoff), false {
		seen := a.look(ctx)
		// What was seen while stopping means nothing.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if first {
			a.observeDown(ctx, seen.reports)
		}
		err := a.deliver(ctx, a.heartbeats(ctx, seen, interval), accepted)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failure, ok := errors.AsType[*SendError](err)
		if !ok || !failure.Retry {
			return err
		}
		// Never earlier than the server asks, and not all agents at once.
		pause := time.Duration(a.Random() * float64(backoff))
		if failure.RetryAfter > 0 {
			pause = failure.RetryAfter + time.Duration(a.Random()*float64(firstBackoff))
		}
		if a.Now().Add(pause).After(deadline) || !wait(ctx, pause) {
			return err
		}
	}
}

// lastAttempt is how long after the first attempt the last one may begin: it shall end before the next report is due.
func lastAttempt(interval time.Duration) time.Duration {
	return interval - min(requestTimeout, interval/2)
}

// deliver sends the heartbeats that are not accepted yet, and notes those that are. One that is refused does not keep
// the others back; a server that takes none is asked once. The error is the first, or rather one that may pass.
func (a *Agent) deliver(ctx context.Context, hs []contract.Heartbeat, accepted map[string]bool) error {
	var trouble error
	var took []contract.Heartbeat
	blocked := false
	for _, h := range hs {
		if accepted[h.NodeID] {
			continue
		}
		err := trouble
		if !blocked {
			h.Annotations = a.State.due(h, a.beats)
			err = a.Send(ctx, h)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			accepted[h.NodeID] = true
			a.State.delivered(h)
			took = append(took, h)
			continue
		}
		a.State.undelivered(h, a.Now().UnixMilli(), a.beats)
		failure, ok := errors.AsType[*SendError](err)
		if passing := ok && failure.Retry; passing && !blocked {
			trouble, blocked = err, true
		} else if trouble == nil {
			trouble = err
		}
	}
	a.keep()
	a.journal.attempt(trouble, took, len(hs) > 1)
	return trouble
}

// keep writes the state. A trouble is logged when it changes.
func (a *Agent) keep() {
	text := ""
	if err := a.State.Save(); err != nil {
		text = err.Error()
	}
	if text != a.unkept && text != "" {
		a.Log.Printf("%s: what the monitor does not hear is forgotten with the next restart", text)
	}
	a.unkept = text
}

// stray returns d give or take a share of it.
func (a *Agent) stray(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*a.Random()-1)))
}

// wait returns true after d, false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// describe is a heartbeat in a few words.
func describe(h contract.Heartbeat) string {
	if h.Reason == "" {
		return h.Status
	}
	return fmt.Sprintf("%s, %s: %s", h.Status, h.Reason, h.Evidence)
}
