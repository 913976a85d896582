package evaluator_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// away is how long a fault lasts: longer than G, so that it is blind, and longer than the threshold, so that nodes
// would be lost if it counted.
const away = 2500 * time.Millisecond

func TestNATSRestart(t *testing.T) {
	const rounds = 3
	w := newWorld(t, bus.StreamLimits{MaxBytes: 64 << 20})
	w.start(natsPace(), nil)
	w.fleet.run(t, 100*time.Millisecond)
	w.awaitFolded()
	var took []time.Duration
	for range rounds {
		w.server.Stop()
		await(t, func() bool { return problem(w.eval, "NATS") != nil })
		time.Sleep(away) // the length of the fault, not a hope
		w.server.Restart()
		took = append(took, w.awaitFolded())
		await(t, func() bool { return problem(w.eval, "NATS") == nil })
	}
	w.wantNoLost()
	if e, b := position(t, w.store).Epoch, w.count(node.Blind, ""); e != 1 || b < rounds { // more, if this machine pauses besides
		t.Errorf("epoch %d, %d blind spans, want 1 and at least %d", e, b, rounds)
	}
	for _, text := range []string{"NATS does not work", "NATS: works again"} {
		if !w.log.has(text) {
			t.Errorf("the log does not say %q", text)
		}
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "nats-server is off for longer than a threshold, then back",
		Must:   "the same stream epoch, the span is blind, no healthy node LOST, folding goes on by itself; /readyz names NATS",
		Seen:   fmt.Sprintf("folding again %s after the start; LOST %d, blind spans %d", spread(took), w.count(node.Changed, node.Lost), w.count(node.Blind, "")),
		Rounds: rounds,
	})
}

func manageStreams(t *testing.T, w *world) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(w.server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestNATSStreamDeleted(t *testing.T) {
	const rounds = 3
	w := newWorld(t, bus.StreamLimits{MaxBytes: 64 << 20})
	w.start(natsPace(), nil)
	w.fleet.run(t, 100*time.Millisecond)
	w.awaitFolded()
	js := manageStreams(t, w)
	var took []time.Duration
	for range rounds {
		if err := js.DeleteStream(t.Context(), contract.HeartbeatsStream(0)); err != nil {
			t.Fatal(err)
		}
		took = append(took, w.awaitFolded())
	}
	w.wantNoLost()
	epochs, blind, joined := position(t, w.store).Epoch-1, w.count(node.Blind, ""), w.count(node.Joined, node.Up)
	if epochs != rounds || blind < rounds || joined != 3 {
		t.Errorf("%d new epochs, %d blind spans, %d joined, want %d, at least %d, 3", epochs, blind, joined, rounds, rounds)
	}
	if n := w.figure("gensyn_evaluator_epochs_total"); n != rounds || !w.log.has("the stream is another one") {
		t.Errorf("the metric counts %v epochs, and the log must say why", n)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "the stream is deleted, and is made anew empty",
		Must:   "made again by the evaluator, a new epoch after a blind span, all nodes kept, no healthy node LOST",
		Seen:   fmt.Sprintf("folding the new stream after %s; new epochs %d, LOST %d", spread(took), epochs, w.count(node.Changed, node.Lost)),
		Rounds: rounds,
	})
}

func TestNATSOlderSnapshotRestored(t *testing.T) {
	const rounds = 3
	w := newWorld(t, bus.StreamLimits{MaxBytes: 64 << 20})
	w.start(natsPace(), nil)
	w.fleet.run(t, 50*time.Millisecond)
	w.awaitFolded()
	var took []time.Duration
	for range rounds {
		saved := w.server.Save()
		w.awaitFolded()
		w.fleet.publish(t.Context(), "DOWN") // folded, and not in the snapshot
		w.awaitFolded()
		w.server.PutBack(saved)
		took = append(took, w.awaitFolded())
	}
	w.wantNoLost()
	epochs, down := position(t, w.store).Epoch-1, w.count(node.Changed, node.Down)
	if epochs != rounds || down != 3*rounds {
		t.Errorf("%d new epochs, %d times DOWN, want %d and %d: nothing is told twice or forgotten", epochs, down, rounds, 3*rounds)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "an older snapshot of the stream is restored",
		Must:   "a new epoch, resumed behind the last folded stamp; no transition lost or told twice, no healthy node LOST",
		Seen:   fmt.Sprintf("folding after %s; new epochs %d, transitions doubled %d, LOST %d", spread(took), epochs, down-3*rounds, w.count(node.Changed, node.Lost)),
		Rounds: rounds,
	})
}

// The database alone goes back: what it lacks is replayed from the stream, with the same ids and times.
func TestOnlyTheDatabaseIsRestored(t *testing.T) {
	const rounds = 3
	w := newWorld(t, bus.StreamLimits{MaxBytes: 64 << 20})
	replayed := 0
	for range rounds {
		w.start(natsPace(), nil)
		stop := w.fleet.run(t, 50*time.Millisecond)
		w.awaitFolded()
		w.stop()
		saved := w.saveDatabase()
		before := len(storedLines(t, w.store))
		w.start(natsPace(), nil)
		w.fleet.publish(t.Context(), "DOWN")
		w.awaitFolded()
		stop()
		w.stop()
		want, at := w.events(), position(t, w.store)
		w.restoreDatabase(saved)
		w.start(natsPace(), nil)
		await(t, func() bool { return position(t, w.store).Seq >= at.Seq })
		w.stop()
		if got := w.events(); !slices.Equal(got, want) {
			t.Errorf("events after the replay\n%q\nwant\n%q", got, want)
		}
		replayed += len(want) - before
	}
	if e := position(t, w.store).Epoch; e != 1 || replayed < 3*rounds {
		t.Errorf("epoch %d, %d events replayed, want 1 and at least %d", e, replayed, 3*rounds)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "only the database is restored from an older backup",
		Must:   "what it lacks is replayed from the stream: the same epoch, every event with the same id and time",
		Seen:   fmt.Sprintf("%d events replayed, all the same; epoch %d", replayed, position(t, w.store).Epoch),
		Rounds: rounds,
	})
}

// events are all stored ones, with their times.
func (w *world) events() []string {
	w.t.Helper()
	stored, err := w.store.Events(w.t.Context(), "", 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range stored {
		out = append(out, fmt.Sprint(e.ID, e.Kind, e.NodeID, e.From, e.To, int64(e.At), int64(e.Lasted), e.Quiet))
	}
	return out
}

func (w *world) saveDatabase() string {
	w.t.Helper()
	_ = w.store.Close()
	saved := filepath.Join(w.t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(w.dir)); err != nil {
		w.t.Fatal(err)
	}
	w.open()
	return saved
}

func (w *world) restoreDatabase(saved string) {
	w.t.Helper()
	_ = w.store.Close()
	w.dir = saved
	w.open()
}

// The stream is too small for the time that the evaluator was off.
func TestDiscardedWhileTheEvaluatorWasOff(t *testing.T) {
	const rounds = 3
	w := newWorld(t, bus.StreamLimits{MaxBytes: 64 << 10})
	w.fleet.pad = string(slices.Repeat([]byte("x"), 500))
	w.fleet.run(t, 20*time.Millisecond)
	w.start(natsPace(), nil)
	w.awaitFolded()
	for range rounds {
		at := position(t, w.store).Seq
		w.stop()
		await(t, func() bool { // longer than a threshold, and the position is gone
			info, err := w.fleet.b.Info(t.Context(), 0)
			return err == nil && info.First > at+uint64(away/(20*time.Millisecond))
		})
		w.start(natsPace(), nil)
		w.awaitFolded()
	}
	w.wantNoLost()
	blind, told := w.blind()
	if e := position(t, w.store).Epoch; e != rounds+1 || blind < rounds || told < rounds {
		t.Errorf("epoch %d, %d blind spans, %d told, want %d, at least %d and %d", e, blind, told, rounds+1, rounds, rounds)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "the stream discards messages while no evaluator runs",
		Must:   "the span is blind and told; no healthy node LOST",
		Seen:   fmt.Sprintf("blind spans %d, told %d, LOST %d", blind, told, w.count(node.Changed, node.Lost)),
		Rounds: rounds,
	})
}

// blind counts blind spans, and those that people are told of.
func (w *world) blind() (all, told int) {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), "", 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == node.Blind {
			all++
			if !e.Quiet {
				told++
			}
		}
	}
	return all, told
}

// stallingStore holds commits back.
type stallingStore struct {
	nodestore.Writer
	gate *gate
}

type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil while it is open
}

func (g *gate) close() { g.mu.Lock(); g.shut = make(chan struct{}); g.mu.Unlock() }
func (g *gate) open()  { g.mu.Lock(); close(g.shut); g.shut = nil; g.mu.Unlock() }
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return nil
	}
	select {
	case <-shut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s stallingStore) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	if err := s.gate.pass(ctx); err != nil {
		return err
	}
	return s.Writer.Commit(ctx, l, from, c)
}

// The evaluator stands still while thousands of messages come, more than it may keep in memory.
func TestSlowConsumer(t *testing.T) {
	const messages, size = 4000, 32 << 10 // 125 MiB
	w := newWorld(t, bus.StreamLimits{MaxBytes: 256 << 20})
	g := new(gate)
	pace := natsPace()
	pace.CallLimit = time.Minute // of the held commit
	w.start(pace, func(s nodestore.Writer) nodestore.Writer { return stallingStore{s, g} })
	w.fleet.publish(t.Context(), "UP")
	await(t, func() bool { return w.count(node.Joined, node.Up) == 3 })
	g.close()
	before := heap()
	w.fleet.pad = string(slices.Repeat([]byte("x"), size/3))
	for range messages {
		w.fleet.publish(t.Context(), "UP")
	}
	w.fleet.pad = ""
	grown := int64(heap()) - int64(before)
	if limit := int64(64 << 20); grown > limit {
		t.Errorf("memory grew by %d MiB with %d MiB published, limit %d MiB", grown>>20, messages*size>>20, limit>>20)
	}
	acked := w.fleet.acked.Load()
	begun := time.Now()
	g.open()
	info, err := w.fleet.b.Info(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return position(t, w.store).Seq >= info.Last })
	took := time.Since(begun)
	w.wantNoLost()
	if n := w.figure("gensyn_evaluator_heartbeats_total"); int64(n) < 3*acked {
		t.Errorf("%v heartbeats folded, %d acknowledged", n, 3*acked)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "the evaluator stands still while thousands of messages come",
		Must: "its memory is bounded (64 MiB, nats-server included), then it folds all of them; no healthy node LOST",
		Seen: fmt.Sprintf("%d messages, %d MiB: memory grew by %d MiB; folded %v after it went on, LOST %d",
			acked, messages*size>>20, max(grown, 0)>>20, took.Round(10*time.Millisecond), w.count(node.Changed, node.Lost)),
		Rounds: 1,
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Messages are discarded ahead of an evaluator that stands still: no other stream, and the hole is blind.
func TestDiscardedAheadOfASlowConsumer(t *testing.T) {
	w := newWorld(t, bus.StreamLimits{MaxBytes: 4 << 20})
	g := new(gate)
	pace := natsPace()
	pace.CallLimit = time.Minute
	w.start(pace, func(s nodestore.Writer) nodestore.Writer { return stallingStore{s, g} })
	w.fleet.publish(t.Context(), "UP")
	await(t, func() bool { return w.count(node.Joined, node.Up) == 3 })
	g.close()
	w.fleet.pad = string(slices.Repeat([]byte("x"), 60<<10))
	w.fleet.run(t, 10*time.Millisecond)
	begun := w.fleet.acked.Load()
	await(t, func() bool { return w.fleet.acked.Load() > begun+300 }) // 54 MiB through a stream of 4
	g.open()
	w.awaitFolded()
	w.wantNoLost()
	discarded, blind := w.figure("gensyn_evaluator_discarded_messages_total"), w.count(node.Blind, "")
	if discarded == 0 || blind == 0 || !w.log.has("discarded messages before they were folded") {
		t.Errorf("%v discarded, %d blind spans; want some, some, and a line in the log", discarded, blind)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "the stream discards messages ahead of an evaluator that stands still",
		Must:   "counted and said, the hole is blind (a new epoch only if the position itself is gone); no healthy node LOST",
		Seen:   fmt.Sprintf("%v messages discarded, epoch %d, blind spans %d, LOST %d", discarded, position(t, w.store).Epoch, blind, w.count(node.Changed, node.Lost)),
		Rounds: 1,
	})
}

// Rule 11, told: once, however many evaluators meet the message, and in the words of a person.
func TestRule11UnknownVersionIsToldOnce(t *testing.T) {
	w := newWorld(t, bus.StreamLimits{MaxBytes: 64 << 20})
	pace := natsPace()
	pace.GiveUp = 50 * time.Millisecond // so that it meets the message again and again
	nc, err := nats.Connect(w.server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	woken := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe(contract.EventSubject(0), woken); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	w.start(pace, nil)
	w.fleet.publish(t.Context(), "UP")
	await(t, func() bool { return w.count(node.Joined, node.Up) == 3 })
	if _, err := w.fleet.b.Publish(t.Context(), contract.HeartbeatSubject(0), []byte(`{"v":2}`)); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return w.figure("gensyn_evaluator_unknown_version_messages_total") >= 3 })
	if problem(w.eval, "version") == nil {
		t.Error("readiness does not name the version")
	}
	times := w.figure("gensyn_evaluator_unknown_version_messages_total")
	w.stop()
	if n := w.count(node.Outdated, ""); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	if err := w.fleet.b.Announce(t.Context(), 0, "end", []byte(`{"kind":"end"}`)); err != nil {
		t.Fatal(err)
	}
	announced := 0
	for kind := ""; kind != "end"; {
		if kind = kindOf(t, (<-woken).Data); kind == string(node.Outdated) {
			announced++
		}
	}
	if announced != 1 {
		t.Errorf("announced %d times, want once: the second would have another time than the one stored", announced)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "a message of a newer version than the evaluator",
		Must:   "not folded, the lease given up, told once; a metric and /readyz say so",
		Seen:   fmt.Sprintf("met %v times, told %d times, announced %d times", times, w.count(node.Outdated, ""), announced),
		Rounds: int(times),
	})
}
