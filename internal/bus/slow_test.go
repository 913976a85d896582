package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
)

// stderr collects what is written to standard error until the result is called.
func stderr(t *testing.T) (written func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stderr
	os.Stderr = w
	out := make(chan string, 1)
	go func() { b, _ := io.ReadAll(r); out <- string(b) }()
	written = sync.OnceValue(func() string {
		os.Stderr = was
		_ = w.Close()
		return <-out
	})
	t.Cleanup(func() { written() })
	return written
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// awaitWake takes wake-ups until one is the wanted, announced again and again, and returns how many there were.
func awaitWake(t *testing.T, woken <-chan byte, want byte, announce func()) (n int) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.After(10 * time.Second)
	for {
		select {
		case <-again.C:
			announce()
		case got := <-woken:
			if n++; got == want {
				return n
			}
		case <-limit:
			t.Fatal("it is not woken any more")
		}
	}
}

// A page that is not done with what one program says of itself while thousands say something.
func TestSlowSubscriberIsBoundedAndQuiet(t *testing.T) {
	const rounds, events, size = 3, 20_000, 4 << 10 // 80 MiB each
	written := stderr(t)
	s := bustest.Start(t)
	var complaints atomic.Int64
	b, err := bus.Connect(bus.Options{URL: s.ClientURL(), Name: "slow", OnError: func(err error) {
		complaints.Add(1)
		t.Log(err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for b.Ready(t.Context()) != nil {
		time.Sleep(time.Millisecond)
	}
	woken, over := make(chan byte), make(chan struct{})
	defer close(over)
	stop, err := b.OnProcess(func(data []byte) { // not done until the test takes it
		select {
		case woken <- data[0]:
		case <-over:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	announce := func(data []byte) {
		if err := nc.Publish(contract.ProcessSubject("ingest"), data); err != nil {
			t.Fatal(err)
		}
	}
	grown, most := int64(0), 0
	for round := range byte(rounds) {
		before := heap()
		for range events {
			announce(bytes.Repeat([]byte("x"), size))
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		// The server answers behind what it delivered, which a busy machine takes longer to read than a question may last.
		for began := time.Now(); ; {
			_, err := b.Info(t.Context(), 0)
			if errors.Is(err, bus.ErrNoStream) {
				break
			}
			if time.Since(began) > 30*time.Second {
				t.Fatal(err)
			}
		}
		grown = max(grown, heap()-before)
		wakes := awaitWake(t, woken, round, func() { announce([]byte{round}) })
		most = max(most, wakes)
	}
	if n := complaints.Load(); n != 1 {
		t.Errorf("told %d times within a minute, want once", n)
	}
	if text := written(); strings.Contains(text, "nats") {
		t.Errorf("written to standard error: %q", text)
	}
	// The server's own buffers, which it fills as fast as it can, come and go with the moment: up to 32 MiB were seen.
	if limit := int64(56 << 20); grown > limit {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "a page is not done with what a program says of itself while 20,000 such messages (80 MiB) come", Rounds: rounds,
		Must: "memory is bounded (56 MiB, buffers of nats-server included), it is woken by what comes next; one line in the log a minute, none from the library",
		Seen: fmt.Sprintf("memory grew by %d MiB; woken %d times at most; %d line", max(grown, 0)>>20, most, complaints.Load()),
	})
}
