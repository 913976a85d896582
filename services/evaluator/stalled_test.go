package evaluator_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// run starts an evaluator until the test ends.
func run(t *testing.T, o evaluator.Options) *evaluator.Service {
	t.Helper()
	o.ID, o.Log = "evaluator", zerolog.Nop()
	if o.Settings == (node.Settings{}) {
		o.Settings = nodetest.GenerateSettings()
	}
	s, err := evaluator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

func pulse(stream *memoryStream, seq uint64) {
	stream.add(node.Message{Seq: seq, Stamp: node.Stamp(time.Unix(1e9, 0).UnixNano()) + node.Stamp(seq)*node.Stamp(time.Second)})
}

func problem(s *evaluator.Service, part string) error {
	for _, c := range s.Checks() {
		if c.Name == part {
			return c.Run(context.Background())
		}
	}
	return nil
}

func TestRule7NoMessageIsToldOnceAndShows(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream, pace := open(t), newMemoryStream(), fast
		pace.Stalled = 200 * time.Millisecond
		s := run(t, evaluator.Options{Stream: stream, Store: store, Pace: pace})
		pulse(stream, 1)
		awaitCommitted(t, store, 1)
		await(t, func() bool { return len(storedLines(t, store)) == 1 })
		if problem(s, "heartbeats") == nil {
			t.Error("readiness does not name it")
		}
		time.Sleep(3 * pace.Stalled)
		want := []string{"1:0:1:1048576 stalled  > "}
		if got := storedLines(t, store); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		seq := uint64(1)
		await(t, func() bool { seq++; pulse(stream, seq); return problem(s, "heartbeats") == nil })
		await(t, func() bool { return len(storedLines(t, store)) >= 2 }) // and again, since it is silent again
	})
}

// A process that was frozen finds its clock an hour later. It was not listening, so it says nothing of silence.
func TestRule7AFreezeIsNoSilence(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream, pace := open(t), newMemoryStream(), fast
		pace.Stalled = 10 * time.Second
		var frozen atomic.Int64
		run(t, evaluator.Options{
			Stream: stream, Store: store, Pace: pace,
			Now: func() time.Time { return time.Now().Add(time.Duration(frozen.Load())) },
		})
		for seq := range uint64(5) {
			pulse(stream, seq+1)
			awaitCommitted(t, store, seq+1)
			frozen.Add(int64(time.Hour))
			time.Sleep(2 * pace.Verify)
		}
		if got := storedLines(t, store); len(got) != 0 {
			t.Errorf("events %q, want none", got)
		}
	})
}

// While the fold is torn nothing is committed, so nothing may be recorded behind what will be: chats that have
// collected it would not look before it again.
func TestStalledWhileTornStandsAtTheCommittedPosition(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream, pace := open(t), newMemoryStream(), fast
		pace.Stalled = 200 * time.Millisecond
		run(t, evaluator.Options{Stream: stream, Store: store, Pace: pace})
		pulse(stream, 1)
		awaitCommitted(t, store, 1)
		stream.recreate()
		await(t, func() bool { return len(storedLines(t, store)) == 1 })
		if got, want := storedLines(t, store)[0], "1:0:1:1048576 stalled  > "; got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	})
}

// An earlier stream that comes back was folded before: only what is later than the last folded stamp is new in it.
func TestEarlierStreamThatComesBackIsNotFoldedTwice(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream := open(t), newMemoryStream()
		run(t, evaluator.Options{Stream: stream, Store: store, Pace: fast})
		stamp := node.Stamp(time.Unix(1e9, 0).UnixNano())
		send := func(seq uint64, status string) {
			stamp += node.Stamp(time.Second)
			stream.add(node.Message{Seq: seq, Stamp: stamp, Heartbeats: []node.Heartbeat{{NodeID: "a", Status: status}}})
			awaitCommitted(t, store, seq)
		}
		send(1, "UP")
		send(2, "DOWN")
		send(3, "UP")
		first, created := stream.messages, stream.created
		stream.recreate()
		send(1, "UP")
		stream.change(func() { stream.messages, stream.created = first, created })
		send(4, "DOWN")
		changes := storedLines(t, store)
		want := []string{
			"1:0:1:0 joined a >up ", "1:0:2:0 changed a up>down reported", "1:0:3:0 changed a down>up ",
			"2:0:1:0 blind  > ", "3:0:4:0 blind  > ", "3:0:4:1 changed a up>down reported",
		}
		if !slices.Equal(trimQuiet(changes), want) {
			t.Errorf("events %q\nwant %q", changes, want)
		}
	})
}

func TestSettingsAreAskedForThroughTheStream(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream := open(t), newMemoryStream()
		other := node.Settings{Threshold: 33 * time.Second, MaxNodes: 3}
		run(t, evaluator.Options{Stream: stream, Store: store, Pace: fast})
		// Another evaluator's settings arrive while this one folds: it asks for its own.
		stream.add(node.Message{Seq: 1, Stamp: 1e18, Command: &node.Command{Settings: &other}})
		await(t, func() bool { stream.mu.Lock(); defer stream.mu.Unlock(); return len(stream.published) == 1 })
		pulse(stream, 2)
		awaitCommitted(t, store, 2)
		if n := len(stream.published); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}
