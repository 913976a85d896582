package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
)

// played is a node that the test plays for a real agent.
type played struct {
	mu     sync.Mutex
	status string
	looks  int
}

// Probe implements probe.Profile.
func (p *played) Probe(context.Context) ([]probe.Report, []probe.Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
	return []probe.Report{{Status: p.status, Reason: "played", Evidence: "as the test says"}}, nil
}

// Forget implements probe.Profile.
func (p *played) Forget(string) error { return errors.New("not known") }

// becomes changes the status and waits until the agent has looked twice.
func (p *played) becomes(t *testing.T, status string) time.Time {
	t.Helper()
	p.mu.Lock()
	p.status = status
	at, seen := time.Now(), p.looks
	p.mu.Unlock()
	for deadline := at.Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		looks := p.looks
		p.mu.Unlock()
		if looks >= seen+2 {
			return at
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent looked %d times", looks-seen)
		}
	}
}

// TestWhatAnAgentCouldNotTellIsKeptWithItsTimes: the monitor is off, the node goes down and up again, and a new agent
// process, started while the monitor is still off, tells it all once it is back. None of it is folded into state.
func TestWhatAnAgentCouldNotTellIsKeptWithItsTimes(t *testing.T) {
	telegram := fakeTelegram(t)
	o := &oneProcess{dir: t.TempDir(), telegram: telegram.URL(), addr: "127.0.0.1:0"}
	o.start(t)
	node := &played{status: probe.StatusUp}
	state := t.TempDir()
	run := func() (stop func()) {
		kept, err := agent.OpenState(state)
		if err != nil {
			t.Fatal(err)
		}
		client := agent.NewClient("http://"+o.addr, secret, "test", agent.NewTransport(agent.Proxies{}, nil))
		a := agent.New(agent.Options{
			Config:  agent.Config{NodeID: "cut-off", Interval: 200 * time.Millisecond},
			Profile: node, Send: client.Send, State: kept,
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		return func() { cancel(); <-done; client.Close() }
	}
	stop := run()
	node.becomes(t, probe.StatusUp)
	o.stop(t)
	down := node.becomes(t, probe.StatusDown)
	up := node.becomes(t, probe.StatusUp)
	stop()
	stop = run() // the state is all that it knows
	node.becomes(t, probe.StatusUp)
	o.start(t)
	node.becomes(t, probe.StatusUp)
	node.becomes(t, probe.StatusUp)
	stop()
	o.stop(t)
	store, err := sqlite.Open(t.Context(), filepath.Join(o.dir, "monitor.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	got, err := store.Annotations(t.Context(), "cut-off", 10)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(got)
	if len(got) != 2 || got[0].Status != probe.StatusDown || got[1].Status != probe.StatusUp || got[0].Reason != "played" {
		t.Fatalf("annotations %+v", got)
	}
	late := max(got[0].At.Time().Sub(down).Abs(), got[1].At.Time().Sub(up).Abs())
	if late > 2*time.Second {
		t.Errorf("told as of %v and %v, it happened at %v and %v", got[0].At.Time(), got[1].At.Time(), down, up)
	}
	events, err := store.Events(t.Context(), "cut-off", 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 {
		t.Errorf("%d events, want the joining alone: %+v", len(events), events)
	}
	reliability.Report(t, reliability.Row{
		Group: "Agent", Fault: "the monitor is off while a node goes down and up again; the agent is restarted meanwhile",
		Must:   "both changes arrive once, with the agent's own times, and make no transition",
		Seen:   fmt.Sprintf("%d annotations, at most %v off; %d transitions", len(got), late.Round(10*time.Millisecond), len(events)-1),
		Rounds: 1,
	})
}
