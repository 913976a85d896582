package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/smalldisk"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// stubborn is nodes that change their state at every heartbeat, and send one again until it is answered 200, as agents do.
type stubborn struct {
	load
	slowest time.Duration
	odd     int // answers that are neither 200, 429 nor 503
	refused int // answers of 503
	last    map[string]time.Time
}

func (l *stubborn) run(ctx context.Context, t *testing.T, s *system, nodes int) (wait func()) {
	l.acked, l.last = map[string][]string{}, map[string]time.Time{}
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			id := fmt.Sprintf("load-%02d", i)
			for n := 0; ctx.Err() == nil; n++ {
				l.send(ctx, t, s, id, []string{"UP", "DOWN"}[n%2])
			}
		})
	}
	return wg.Wait
}

func (l *stubborn) send(ctx context.Context, t *testing.T, s *system, id, status string) {
	for code := 0; code != http.StatusOK && !t.Failed(); {
		began := time.Now()
		code, _ = s.post(t, secret, fmt.Appendf(nil, `{"node_id":%q,"status":%q}`, id, status))
		l.note(id, status, code, time.Since(began))
		// Even when the test is over: what was answered 503 may have been stored, so it must be made sure of.
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (l *stubborn) note(id, status string, code int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	switch code {
	case http.StatusOK:
		l.acked[id] = append(l.acked[id], status)
		l.last[id] = time.Now()
	case http.StatusServiceUnavailable:
		l.refused++
	case http.StatusTooManyRequests:
	default:
		l.odd++
	}
}

// accepted reports whether all nodes had an answer of 200 since then.
func (l *stubborn) accepted(since time.Time, nodes int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, at := range l.last {
		if at.After(since) {
			n++
		}
	}
	return n == nodes
}

// The one disk of standalone is full, for NATS and for the database, and has room again: nobody has to start anything.
func TestStandaloneDiskFull(t *testing.T) {
	const nodes, lasts = 20, 14 * time.Second // longer than it waits before it looks whether a restart of NATS would help
	telegram := fakeTelegram(t)
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	p := &standalone{t: t, dir: t.TempDir(), addr: addr, env: append(environment(telegram.URL()), "DOWN_THRESHOLD_SEC=10")}
	disk := smalldisk.Mount(t, filepath.Join(p.dir, "data"), 128)
	p.start()
	s := &system{ingest: "http://" + addr, web: "http://" + addr, telegram: telegram}
	l := new(stubborn)
	ctx, cancel := context.WithCancel(t.Context())
	wait := l.run(ctx, t, s, nodes)
	defer func() { cancel(); wait() }()
	begun := time.Now()
	until(t, 20*time.Second, "all nodes are heard", func() bool { return l.accepted(begun, nodes) })
	time.Sleep(2 * time.Second) // some more heartbeats
	disk.Fill()
	full := time.Now()
	until(t, 10*time.Second, "503", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.refused > 0 })
	time.Sleep(time.Until(full.Add(lasts))) // the length of the fault, not a hope
	disk.Free()
	free := time.Now()
	until(t, 40*time.Second, "all nodes are heard again", func() bool { return l.accepted(free, nodes) })
	took := time.Since(free)
	cancel()
	wait()
	time.Sleep(time.Second) // what was acknowledged last is committed; less than the threshold
	if status, _ := p.end(); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.out())
	}
	for _, text := range []string{"THE DATA DIRECTORY CANNOT BE WRITTEN", "starting NATS again"} {
		if !strings.Contains(p.out(), text) {
			t.Errorf("the log does not say %q:\n%s", text, p.out())
		}
	}
	if l.slowest > 4*time.Second || l.odd > 0 {
		t.Errorf("the slowest answer took %v, %d were none of 200, 429, 503", l.slowest, l.odd)
	}
	l.compare(t, p.dir)
	total := 0
	for _, all := range l.acked {
		total += len(all)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: fmt.Sprintf("the disk of standalone is full for %v, then there is room again", lasts), Rounds: 1,
		Must: "503 within 2 s; then all goes on by itself within 40 s; of every heartbeat answered 200 the transition is there, once, and no healthy node LOST",
		Seen: fmt.Sprintf("slowest answer %v, %d of 503; heard again after %v; %d heartbeats of %d nodes acknowledged, all transitions there, LOST 0",
			l.slowest.Round(10*time.Millisecond), l.refused, took.Round(100*time.Millisecond), total, nodes),
	})
}

func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
