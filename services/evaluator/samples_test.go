package evaluator_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// fold runs an evaluator until stop is called.
func fold(t *testing.T, store nodestore.Writer, stream evaluator.Stream, pace evaluator.Pace, days int) (stop func()) {
	t.Helper()
	s, err := evaluator.New(evaluator.Options{
		ID: "evaluator", Stream: stream, Store: store, Settings: nodetest.GenerateSettings(), Pace: pace,
		SamplesDays: days, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

// rounds are those of a node's samples.
func rounds(t *testing.T, store nodestore.Reader, id string, since node.Stamp) (out []int64) {
	t.Helper()
	samples, err := store.Samples(t.Context(), id, since)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		out = append(out, *s.Round)
	}
	return out
}

// What agents measure is stored once in each slot, also when another evaluator takes over within one.
func TestSamplesAreStoredBesideTheCommits(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		const slot = node.Stamp(nodestore.SampleEvery)
		store, stream := open(t), newMemoryStream()
		shift := node.Stamp(nodestore.SampleShift("n"))
		begin := (node.Stamp(time.Now().UnixNano())+shift)/slot*slot - shift - 3*slot
		seq := uint64(0)
		send := func(at node.Stamp) {
			seq++
			stream.add(node.Message{Seq: seq, Stamp: at, Heartbeats: []node.Heartbeat{
				{NodeID: "n", Workload: fmt.Sprintf(`{"round":%d}`, seq)}, {NodeID: "old agent"},
			}})
			awaitCommitted(t, store, seq)
		}
		want := func(all ...int64) {
			t.Helper()
			await(t, func() bool { return slices.Equal(rounds(t, store, "n", begin), all) })
		}
		stop := fold(t, store, stream, fast, 7)
		send(begin)
		want(1)
		send(begin + 1)
		send(begin + slot)
		want(1, 3)
		stop()
		stop = fold(t, store, stream, fast, 7)
		send(begin + slot + 1)
		send(begin + 2*slot + 1)
		want(1, 3, 5)
		stop()
		stop = fold(t, store, stream, fast, 0)
		send(begin + 3*slot)
		stop()
		want(1, 3, 5)
		if got, err := store.Samples(t.Context(), "old agent", begin); err != nil || len(got) != 0 {
			t.Errorf("an agent that measures nothing has samples %+v, %v", got, err)
		}
	})
}

// refusing is a store that takes no samples.
type refusing struct {
	nodestore.Store
	asked chan struct{}
}

func (r refusing) AddSamples(ctx context.Context, _ []nodestore.Sample) error {
	select {
	case r.asked <- struct{}{}:
	default:
	}
	<-ctx.Done() // for as long as it is waited for
	return ctx.Err()
}

// A database that takes no samples keeps nobody from folding.
func TestSamplesKeepNobodyWaiting(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream := refusing{open(t), make(chan struct{}, 1)}, newMemoryStream()
		patient := fast
		patient.CallLimit = time.Hour // a write that hangs does not end
		stop := fold(t, store, stream, patient, 7)
		defer stop()
		const messages = 200 // more than wait in the queue
		stamp, begun := node.Stamp(time.Now().UnixNano()), time.Now()
		for seq := range uint64(messages) {
			stamp += node.Stamp(nodestore.SampleEvery)
			stream.add(node.Message{Seq: seq + 1, Stamp: stamp, Heartbeats: []node.Heartbeat{{NodeID: "n", Workload: `{"round":7}`}}})
			if seq == 0 {
				awaitCommitted(t, store, 1)
				<-store.asked
			}
			if seq%2 == 0 { // so that they are not all one commit
				awaitCommitted(t, store, seq+1)
			}
		}
		awaitCommitted(t, store, messages)
		reliability.Report(t, reliability.Row{
			Group: "Evaluator", Fault: "the database takes no samples of what agents measure: every write of them hangs",
			Must: "nobody waits for it: all heartbeats are folded and committed, within a minute", Rounds: 1,
			Seen: fmt.Sprintf("%d messages committed within %v while the write hung", messages, time.Since(begun).Round(10*time.Millisecond)),
		})
	})
}

// Many nodes that report are not kept until a commit is due: one large commit would hold up the disk that heartbeats are
// synced to as well.
func TestManyRowsAreCommittedBeforeTheirTime(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		store, stream, pace := open(t), newMemoryStream(), fast
		pace.Commit, pace.Idle, pace.Rows = time.Hour, time.Hour, 100
		run(t, evaluator.Options{Stream: stream, Store: store, Pace: pace, Settings: node.Settings{Threshold: time.Minute, MaxNodes: 1000}})
		stamp, seq := node.Stamp(time.Now().UnixNano()), uint64(0)
		report := func(from, to int) {
			seq++
			m := node.Message{Seq: seq, Stamp: stamp + node.Stamp(seq)*node.Stamp(time.Millisecond)}
			for i := from; i < to; i++ {
				m.Heartbeats = append(m.Heartbeats, node.Heartbeat{NodeID: strconv.Itoa(i), Status: "UP"})
			}
			stream.add(m)
		}
		report(0, 120)
		awaitCommitted(t, store, 1) // they joined, which is committed at once
		report(0, 60)
		for range 20 {
			time.Sleep(time.Millisecond)
			if _, p, err := store.Committed(t.Context(), 0); err != nil || p.Seq != 1 {
				t.Fatalf("60 rows are committed at %v, %v", p, err)
			}
		}
		report(60, 120)
		awaitCommitted(t, store, 3)
	})
}
