package notifier

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// Limits of telling very many alerts at once.
const (
	manySoon = 3 * time.Second
	manyHeap = 64 << 20 // bytes
)

// heapWatch samples how much the heap grows.
type heapWatch struct {
	stop func()
	most uint64
}

func watchHeap() *heapWatch {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	began := m.HeapAlloc
	h, done := &heapWatch{}, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > began {
				h.most = max(h.most, m.HeapAlloc-began)
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	h.stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	return h
}

// 100,000 nodes fall silent in one commit, on a real Postgres and in real time.
func TestAHundredThousandNodesAtOnce(t *testing.T) {
	manyNodes := 100_000
	if raceDetector { // everything takes many times as long: the limits are not looked at
		manyNodes = 5_000
	}
	url := postgrestest.Shared(t).NewDatabase(t)
	store, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	w := newWorld(t, store)
	sender := newScript(nil)
	o := Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}, Timing: Timing{BusyGap: 2 * time.Second}}
	s := startWith(t, o)
	w.add(t, "dc=home", names(0, manyNodes)...)
	w.set(t, node.Lost, node.ReasonSilent, names(0, manyNodes)...)
	w.nodes = nil
	committed := time.Now()
	heap := watchHeap()
	defer heap.stop()
	s.Wake()
	first := <-sender.accepted
	took := first.at.Sub(committed)

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	told := 0
	for deadline := time.Now().Add(2 * time.Minute); told < manyNodes && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM deliveries d JOIN notifications n ON n.id = d.notification
			WHERE d.chat = '1' AND n.told_at IS NOT NULL`).Scan(&told); err != nil {
			t.Fatal(err)
		}
	}
	all := time.Since(committed)
	heap.stop()
	messages := sender.all()
	if told != manyNodes || counted(messages) != manyNodes {
		t.Errorf("%d alerts recorded as told, %d counted in %d messages, want %d", told, counted(messages), len(messages), manyNodes)
	}
	for _, m := range messages {
		wantTexts(t, []sent{m}, []string{fmt.Sprintf("own network may be at fault: %s of %[1]s nodes", english.number(manyNodes)), " LOST</b>", "First: "})
	}
	if !raceDetector && (took > manySoon || heap.most > manyHeap) {
		t.Errorf("the first message after %v, the heap grew by %d MiB; want at most %v and %d MiB", took, heap.most>>20, manySoon, manyHeap>>20)
	}
	reliability.Report(t, reliability.Row{
		Group: "Telegram", Fault: english.number(manyNodes) + " nodes fall silent in one commit, on Postgres", Rounds: 1,
		Must: "first message within 3 s, memory bounded, every alert recorded as told",
		Seen: fmt.Sprintf("first message %.1f s after the commit, all told in %d messages after %.1f s; the heap grew by %d MiB at most",
			took.Seconds(), len(messages), all.Seconds(), heap.most>>20),
	})
}
