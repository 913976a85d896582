package natsfaults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// TestElections makes the cluster choose leaders again and again, also by killing those it has. Whatever single servers
// answer meanwhile, the stream stays the same one.
func TestElections(t *testing.T) {
	stepDowns, kills := 12, 3
	if testing.Short() {
		stepDowns, kills = 4, 1
	}
	w := start(t, 3, bus.StreamLimits{MaxBytes: 256 << 20, Replicas: 3})
	seen := w.look(t)
	var moved, killed []time.Duration
	for range stepDowns {
		leader := w.awaitLeader(t)
		w.request(t, "$JS.API.STREAM.LEADER.STEPDOWN."+contract.HeartbeatsStream(0))
		await(t, 15*time.Second, "another leader", func() bool { p := w.leader(); return p != nil && p != leader })
		moved = append(moved, w.awaitFolded())
	}
	for range kills {
		p := w.awaitLeader(t)
		p.Kill()
		killed = append(killed, w.awaitFolded())
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.awaitFolded()
	}
	w.wantSame(t)
	looks, short, none := seen()
	if looks < 6*(stepDowns+kills) {
		t.Errorf("only %d looks", looks)
	}
	acked, lost, _, _ := w.audit()
	if lost != 0 {
		t.Errorf("%d of %d acknowledged heartbeats are not in the stream", lost, acked)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: fmt.Sprintf("the stream's leader in a cluster of three steps down (%d times) and is killed (%d times)", stepDowns, kills),
		Must: "the same stream epoch whatever replicas answer; nothing acknowledged is lost, no healthy node LOST", Rounds: stepDowns + kills,
		Seen: fmt.Sprintf("folding again %s after a step-down, %s after a kill; of %d looks by the test %d saw the stream short and %d got no answer; epoch %d, %d acknowledged, %d lost, LOST %d",
			spread(moved), spread(killed), looks, short, none, w.position().Epoch, acked, lost, w.count(node.Changed, node.Lost)),
	})
}

func (w *world) request(t *testing.T, subject string) {
	t.Helper()
	await(t, 15*time.Second, subject, func() bool {
		m, err := w.js.Conn().Request(subject, nil, 2*time.Second)
		return err == nil && strings.Contains(string(m.Data), `"success":true`)
	})
}

// look asks each server for the message at the committed position, all the time, until the answer is called for.
func (w *world) look(t *testing.T) (seen func() (looks, short, none int)) {
	t.Helper()
	var mu sync.Mutex
	var looks, short, none int
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, url := range strings.Split(w.url, ",") {
		b, err := bus.Connect(bus.Options{URL: url, Name: "look"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		wg.Go(func() {
			for ctx.Err() == nil {
				lacks, err := w.lacks(ctx, b)
				mu.Lock()
				looks++
				switch {
				case lacks:
					short++
				case err != nil:
					none++
				}
				mu.Unlock()
				pause(ctx, 30*time.Millisecond)
			}
		})
	}
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return func() (int, int, int) { stop(); return looks, short, none }
}

// lacks reports whether the stream, as the server on this connection tells, lacks what was committed.
func (w *world) lacks(ctx context.Context, b *bus.Bus) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, p, err := w.store.Committed(ctx, 0)
	if err != nil {
		return false, err
	}
	info, err := b.Info(ctx, 0)
	if err != nil {
		return errors.Is(err, bus.ErrNoStream), err
	}
	_, err = b.StampAt(ctx, 0, p.Seq)
	return errors.Is(err, bus.ErrNoMessage) || info.Last < p.Seq, err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
