// Package agent watches one node and reports it to a monitor, heartbeat by heartbeat.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// The statuses an agent reports.
const (
	StatusUp   = "UP"
	StatusDown = "DOWN"
)

// jitter is how far an interval may stray, as a share of it: so that a thousand agents do not report at one instant.
const jitter = 0.05

// The waits between attempts to deliver one report, when the server names none.
const (
	firstBackoff = time.Second
	mostBackoff  = 15 * time.Second
)

// Options are the parts of an Agent. Config, Probes and Send are required.
type Options struct {
	Config  Config
	Version string
	Probes  []probe.Probe
	Send    func(ctx context.Context, h contract.Heartbeat) error
	Address func(ctx context.Context) string // of this machine; nil: unknown
	Boot    func() (id string, seq int64)    // nil: unknown
	Log     *log.Logger                      // nil: stderr
	Now     func() time.Time                 // nil: time.Now
	Random  func() float64                   // in [0,1); nil: math/rand
}

// Agent collects reports and delivers them. It is used by one goroutine at a time.
type Agent struct {
	Options
	journal journal
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
	return &Agent{Options: o, journal: journal{log: o.Log, now: o.Now}}
}

// Local makes an agent for this machine, and a function that frees what it holds.
func Local(c Config, version string, logger *log.Logger) (*Agent, func()) {
	client := NewClient(c.ServerURL, c.Secret, version)
	a := New(Options{
		Config:  c,
		Version: version,
		Probes:  LocalProbes(c),
		Send:    client.Send,
		Address: NewAddress(c.IPCommand, version, time.Now).Find,
		Boot:    NewBoot("/proc").Now,
		Log:     logger,
	})
	return a, client.Close
}

// LocalProbes are the checks of this machine that make a node UP when all pass.
func LocalProbes(c Config) []probe.Probe {
	probes := []probe.Probe{
		&probe.Screen{Name: c.ScreenName, Sockets: "/run/screen/S-*", ProcRoot: "/proc", List: probe.ListScreens},
		&probe.Process{Pattern: probe.RLSwarm, Root: "/proc", Self: os.Getpid()},
	}
	if c.CheckPort {
		probes = append(probes, &probe.Port{Number: c.Port})
	}
	return probes
}

// Run reports at once and then every interval until ctx ends. Troubles are logged, never returned.
func (a *Agent) Run(ctx context.Context) {
	for ctx.Err() == nil {
		begun := a.Now()
		if h, err := a.report(ctx, a.Config.Interval); err == nil {
			a.journal.accepted(h)
		}
		next := begun.Add(a.stray(a.Config.Interval, jitter))
		wait(ctx, next.Sub(a.Now()))
	}
}

// Once reports one time, trying again for less than an interval. It returns nil when the monitor accepted the report;
// an error has been logged.
func (a *Agent) Once(ctx context.Context) error {
	h, err := a.report(ctx, 0)
	if err == nil {
		a.journal.accepted(h)
	}
	return err
}

// report collects and sends until it is accepted, refused for good, or time for the next. Each attempt tells anew how
// the node is, so that no old state arrives after a newer one. Failures go to the journal.
func (a *Agent) report(ctx context.Context, interval time.Duration) (contract.Heartbeat, error) {
	deadline := a.Now().Add(lastAttempt(a.Config.Interval))
	for backoff := firstBackoff; ; backoff = min(2*backoff, mostBackoff) {
		h := a.Collect(ctx, interval)
		// What was seen while stopping means nothing.
		if ctx.Err() != nil {
			return h, ctx.Err()
		}
		err := a.Send(ctx, h)
		if err == nil || ctx.Err() != nil {
			return h, err
		}
		a.journal.failed(err.Error())
		failure, ok := errors.AsType[*SendError](err)
		if !ok || !failure.Retry {
			return h, err
		}
		// Never earlier than the server asks, and not all agents at once.
		pause := a.stray(backoff, 0.5)
		if failure.RetryAfter > 0 {
			pause = failure.RetryAfter + time.Duration(a.Random()*float64(firstBackoff))
		}
		if a.Now().Add(pause).After(deadline) || !wait(ctx, pause) {
			return h, err
		}
	}
}

// lastAttempt is how long after the first attempt the last one may begin: it shall end before the next report is due.
func lastAttempt(interval time.Duration) time.Duration {
	return interval - min(requestTimeout, interval/2)
}

// Collect looks at the node. interval is that between heartbeats, 0 when there is none.
func (a *Agent) Collect(ctx context.Context, interval time.Duration) contract.Heartbeat {
	h := contract.Heartbeat{
		NodeID:      a.Config.NodeID,
		Meta:        a.Config.Meta,
		Status:      StatusUp,
		IntervalSec: interval.Seconds(),
		Agent:       contract.Agent{Version: a.Version, OS: runtime.GOOS, Arch: runtime.GOARCH},
	}
	h.BootID, h.Seq = a.Boot()
	address := make(chan string, 1)
	go func() { address <- a.Address(ctx) }()
	v := probe.Verdict(probe.CheckAll(ctx, a.Probes))
	if !v.Passed() {
		h.Status, h.Reason, h.Evidence = StatusDown, v.Reason, v.Evidence
	}
	h.IP = <-address
	return h
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

// describe is a report in a few words.
func describe(h contract.Heartbeat) string {
	if h.Reason == "" {
		return h.Status
	}
	return fmt.Sprintf("%s, %s: %s", h.Status, h.Reason, h.Evidence)
}
