package evaluator_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// fast is a pace at which a test need not wait.
var fast = evaluator.Pace{
	LeaseTTL: time.Minute, Renew: 20 * time.Millisecond, Acquire: time.Millisecond,
	Commit: 5 * time.Millisecond, Idle: 5 * time.Millisecond, Verify: 50 * time.Millisecond,
	Stalled: time.Hour, Retry: time.Millisecond, GiveUp: time.Hour, CallLimit: 10 * time.Second,
}

// TestRule12SameEverywhere feeds random streams to evaluators that crash between any two steps, and whose database
// loses answers, and compares what is stored with the reference fold.
func TestRule12SameEverywhere(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		for _, seed := range []uint64{0, 6} { // the second has nodes with several senders
			runRandomStream(t, open(t), seed)
		}
	})
}

func runRandomStream(t *testing.T, store nodestore.Store, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	steps := nodetest.Generate(rng, 500)
	want, states := nodetest.Reference(nodetest.GenerateSettings(), steps)
	stream := newMemoryStream()
	if seed == 6 && !slices.ContainsFunc(want, func(l string) bool { return strings.Contains(l, " doubled ") }) {
		t.Error("the stream has no node with several senders any more: choose another seed")
	}
	crashes := runCrashing(t, store, stream, seed)
	for i, st := range steps {
		if st.Torn {
			awaitCommitted(t, store, steps[i-1].Seq)
			stream.recreate()
		}
		stream.add(st.Message)
		if rng.IntN(20) == 0 {
			awaitCommitted(t, store, st.Seq)
		}
	}
	awaitCommitted(t, store, steps[len(steps)-1].Seq)
	if n := crashes(); n < 5 {
		t.Errorf("seed %d: only %d crashes: the test is too kind", seed, n)
	}
	compareEvents(t, seed, store, want)
	compareStates(t, seed, store, states)
}

// runCrashing runs evaluators one after the other; each dies after a random number of steps. The returned function
// ends it and tells how many died.
func runCrashing(t *testing.T, store nodestore.Writer, stream *memoryStream, seed uint64) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	rng := rand.New(rand.NewPCG(seed, 8))
	var wg sync.WaitGroup
	crashes := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			if runUntilDead(t, ctx, rng, store, stream) {
				crashes++
			}
		}
	})
	return func() int { cancel(); wg.Wait(); return crashes }
}

func runUntilDead(t *testing.T, ctx context.Context, rng *rand.Rand, store nodestore.Writer, stream *memoryStream) bool {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	c := &crasher{after: rng.IntN(2) == 0, kill: kill}
	c.left.Store(int64(1 + rng.IntN(30)))
	var mu sync.Mutex
	flaky := flakyStore{store, func() int { mu.Lock(); defer mu.Unlock(); return rng.IntN(10) }}
	s := newEvaluator(t, crashingStore{flaky, c}, crashingStream{stream, c}, fast)
	if err := s.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	return c.dead.Load()
}

func newEvaluator(t *testing.T, store nodestore.Writer, stream evaluator.Stream, pace evaluator.Pace) *evaluator.Service {
	t.Helper()
	s, err := evaluator.New(evaluator.Options{
		ID: "evaluator", Stream: stream, Store: store, Settings: nodetest.GenerateSettings(), Pace: pace,
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.Disabled),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitCommitted waits until the message is committed.
func awaitCommitted(t *testing.T, store nodestore.Writer, seq uint64) {
	t.Helper()
	await(t, func() bool {
		_, p, err := store.Committed(t.Context(), 0)
		return err == nil && p.Seq == seq
	})
}

func await(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in time")
		}
	}
}

func storedLines(t *testing.T, store nodestore.Reader) []string {
	t.Helper()
	events, err := store.Events(t.Context(), "", 100000)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range slices.Backward(events) {
		lines = append(lines, nodetest.Line(e.Event))
	}
	return lines
}

func compareEvents(t *testing.T, seed uint64, store nodestore.Reader, want []string) {
	t.Helper()
	got := storedLines(t, store)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("seed %d: event %d (%d stored, %d wanted)\nstored %v\nwanted %v", seed, i, len(got), len(want),
				got[min(i, len(got)):min(i+2, len(got))], want[min(i, len(want)):min(i+2, len(want))])
		}
	}
}

func compareStates(t *testing.T, seed uint64, store nodestore.Reader, want map[string]string) {
	t.Helper()
	nodes, err := store.Nodes(t.Context(), nodestore.NodeQuery{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := store.Status(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, n := range nodes {
		got[n.ID] = nodetest.Describe(n, status.Clock.W)
	}
	for id := range want {
		if got[id] != want[id] {
			t.Errorf("seed %d: %s is %q, want %q", seed, id, got[id], want[id])
		}
	}
	if len(got) != len(want) {
		t.Errorf("seed %d: %d nodes stored, want %d", seed, len(got), len(want))
	}
}

// Position trouble, one by one. Each begins with a folded stream of three messages.

func startOfTrouble(t *testing.T, store nodestore.Store) (*memoryStream, func(n uint64, d time.Duration, ids ...string)) {
	t.Helper()
	stream := newMemoryStream()
	stamp := node.Stamp(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	add := func(seq uint64, d time.Duration, ids ...string) {
		stamp += node.Stamp(d)
		m := node.Message{Seq: seq, Stamp: stamp}
		for _, id := range ids {
			m.Heartbeats = append(m.Heartbeats, node.Heartbeat{NodeID: id})
		}
		stream.add(m)
	}
	s := newEvaluator(t, store, stream, fast)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	for seq := range uint64(3) {
		add(seq+1, time.Second, "a")
	}
	awaitCommitted(t, store, 3)
	return stream, add
}

func position(t *testing.T, store nodestore.Writer) node.Position {
	t.Helper()
	_, p, err := store.Committed(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOlderStreamRestoredBeginsAnEpoch(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store := open(t)
		stream, add := startOfTrouble(t, store)
		stream.restore(1)        // messages 2 and 3 are gone,
		add(2, time.Second, "b") // and others take their numbers
		await(t, func() bool { return position(t, store).Epoch == 2 })
		add(3, time.Second, "b")
		awaitCommitted(t, store, 3)
		want := []string{"1:0:1:0 joined a >up ", "2:0:2:0 blind  > ", "2:0:2:1 joined b >up "}
		if got := storedLines(t, store); !slices.Equal(trimQuiet(got), want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestRecreatedStreamIsReadFromItsFirstMessage(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store := open(t)
		stream, add := startOfTrouble(t, store)
		stream.change(func() { stream.exists = false; stream.messages = nil; stream.created = stream.created.Add(time.Minute) })
		await(t, func() bool { stream.mu.Lock(); defer stream.mu.Unlock(); return stream.exists })
		add(1, time.Second, "b")
		add(2, time.Second, "b")
		await(t, func() bool { p := position(t, store); return p.Epoch >= 2 && p.Seq == 2 })
		if got := trimQuiet(storedLines(t, store)); len(got) != 3 || got[2] != "2:0:1:1 joined b >up " {
			t.Errorf("events %q, want b joined by the first message of epoch 2", got)
		}
	})
}

func TestDiscardedMessagesAreSkipped(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store := open(t)
		_, add := startOfTrouble(t, store)
		add(10, time.Second, "a")
		awaitCommitted(t, store, 10)
		if p := position(t, store); p.Epoch != 1 {
			t.Errorf("position %+v: discarded messages are no other stream", p)
		}
	})
}

func TestDiscardedPositionBeginsAnEpochAtTheFirstLaterStamp(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store := open(t)
		stream, add := startOfTrouble(t, store)
		stream.discard(3)
		asked := func() int { stream.mu.Lock(); defer stream.mu.Unlock(); return stream.asked }
		before := asked()
		await(t, func() bool { return asked() > before }) // it looks, finds the position gone, and waits for a later message
		time.Sleep(4 * fast.Verify)
		if p := position(t, store); p.Epoch != 1 || p.Seq != 3 {
			t.Errorf("position %+v: nothing was folded, so nothing is to be committed", p)
		}
		add(4, time.Second, "b")
		awaitCommitted(t, store, 4)
		want := []string{"1:0:1:0 joined a >up ", "2:0:4:0 blind  > ", "2:0:4:1 joined b >up "}
		if got := trimQuiet(storedLines(t, store)); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestRule11MalformedIsSkippedAndUnknownVersionGivesUpTheLease(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store := open(t)
		stream, add := startOfTrouble(t, store)
		raw := func(seq uint64, data string) {
			m := encode(node.Message{Seq: seq, Stamp: position(t, store).Stamp + node.Stamp(time.Second)})
			m.Data = []byte(data)
			stream.change(func() { stream.messages = append(stream.messages, m) })
		}
		raw(4, `{"v":1,"heartbeats":"no list"}`)
		add(5, 2*time.Second, "b")
		awaitCommitted(t, store, 5)
		raw(6, `{"v":2,"heartbeats":{"new":"shape"}}`)
		// The lease is free again, and message 6 is left to whoever takes it.
		await(t, func() bool {
			_, err := store.Acquire(t.Context(), 0, "another", time.Minute, nodetest.GenerateSettings())
			return err == nil
		})
		if p := position(t, store); p.Seq != 5 {
			t.Errorf("position %+v: the message of an unknown version must not be folded", p)
		}
	})
}

func trimQuiet(lines []string) []string {
	out := slices.Clone(lines)
	for i := range out {
		out[i] = strings.TrimSuffix(out[i], " quiet")
	}
	return out
}

// slow is a store whose commits take longer than the stream may be silent.
type slow struct {
	nodestore.Writer
	takes time.Duration
}

func (s slow) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	time.Sleep(s.takes)
	return s.Writer.Commit(ctx, l, from, c)
}

// Whoever was busy does not take that for a silence of the stream: what is read ahead would be thrown away, and read anew.
func TestALongCommitIsNoSilence(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream := open(t), newMemoryStream()
		run(t, evaluator.Options{Stream: stream, Store: slow{store, 3 * fast.Verify}, Pace: fast})
		for seq := range uint64(1000) {
			pulse(stream, seq+1)
			time.Sleep(2 * time.Millisecond)
		}
		awaitCommitted(t, store, 1000)
		stream.mu.Lock()
		defer stream.mu.Unlock()
		if stream.readers > 3 {
			t.Errorf("it was read by %d readers", stream.readers)
		}
	})
}
