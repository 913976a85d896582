package evaluator_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// look is what a replicated stream answers to one look at the position.
type look struct {
	ends   uint64        // where it says that it ends; 0 for the truth
	empty  bool          // it says so
	lacks  bool          // the message at the position
	err    error         // instead of an answer
	passes time.Duration // before it answers
}

// replicated is a stream on three servers, of which any may answer. When the looks are over it tells the truth.
type replicated struct {
	*memoryStream
	now atomic.Int64 // time that passed by the looks

	mu    sync.Mutex
	looks []look
	at    look
	count int // looks that were answered in full
}

func (r *replicated) clock() time.Time { return time.Now().Add(time.Duration(r.now.Load())) }

// Info implements evaluator.Stream.
func (r *replicated) Info(ctx context.Context, partition int) (bus.StreamInfo, error) {
	info, err := r.memoryStream.Info(ctx, partition)
	info.Replicas = 3
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = look{}
	if len(r.looks) > 0 {
		r.at, r.looks = r.looks[0], r.looks[1:]
	}
	r.now.Add(int64(r.at.passes))
	if r.at.ends != 0 || r.at.empty {
		info.First, info.Last = min(info.First, r.at.ends), r.at.ends
	}
	if r.at.err != nil {
		return bus.StreamInfo{}, r.at.err
	}
	return info, err
}

// StampAt implements evaluator.Stream.
func (r *replicated) StampAt(ctx context.Context, partition int, seq uint64) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.lacks {
		return time.Time{}, bus.ErrNoMessage
	}
	if len(r.looks) == 0 {
		r.count++
	}
	return r.memoryStream.StampAt(ctx, partition, seq)
}

// answers makes the next looks see this, and waits until one after them saw the truth.
func (r *replicated) answers(t *testing.T, looks ...look) {
	t.Helper()
	r.mu.Lock()
	r.looks, r.count = looks, 0
	r.mu.Unlock()
	await(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.count > 0 })
}

const settle = 25 * time.Second

func TestAReplicatedStreamThatSeemsShortIsNotAnotherOne(t *testing.T) {
	away := fmt.Errorf("%w: no leader", bus.ErrUnavailable)
	short := look{ends: 1, lacks: true}
	cases := map[string][]look{
		"a replica that lags answers once":                  {short},
		"a leader that is cut off answers for 20 s":         {short, {ends: 1, lacks: true, passes: settle - time.Second}},
		"another server tells the end than has the message": {{lacks: true}, {ends: 5, lacks: true}},
		"an empty replica":                                  {{empty: true, lacks: true}},
		"short, away for an hour, and short again":          {short, {err: away, passes: time.Hour}, short},
		"short, whole for an hour, and short again":         {short, {passes: time.Hour}, short},
		"no answer, again and again":                        {{err: away, passes: time.Hour}, {err: away, passes: time.Hour}},
	}
	for name, looks := range cases {
		t.Run(name, func(t *testing.T) {
			forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
				store, r := open(t), &replicated{memoryStream: newMemoryStream()}
				s := runReplicated(t, store, r)
				r.answers(t, looks...)
				pulse(r.memoryStream, 4)
				awaitCommitted(t, store, 4)
				if got := storedLines(t, store); position(t, store).Epoch != 1 || len(got) != 0 {
					t.Errorf("epoch %d, events %q: want 1 and none", position(t, store).Epoch, got)
				}
				await(t, func() bool { return problem(s, "NATS") == nil })
			})
		})
	}
	if evaluator.DefaultPace.Settle != settle {
		t.Errorf("the default is %v, tested is %v", evaluator.DefaultPace.Settle, settle)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "after an election a replica answers that has fewer messages than were folded (made up, look by look)",
		Must:   "no new epoch, unless every look for 25 s finds the message missing",
		Seen:   fmt.Sprintf("%d sequences of answers on both engines: the same epoch, nothing told", len(cases)),
		Rounds: 2 * len(cases),
	})
}

// runReplicated has folded three messages of the stream.
func runReplicated(t *testing.T, store nodestore.Store, r *replicated) *evaluator.Service {
	t.Helper()
	pace := fast
	pace.Settle = settle
	s := run(t, evaluator.Options{Stream: r, Store: store, Pace: pace, Now: r.clock})
	for seq := range uint64(3) {
		pulse(r.memoryStream, seq+1)
	}
	awaitCommitted(t, store, 3)
	return s
}

// What is missing for long is gone: an older backup of a replicated stream was restored. So is at once what the stream's
// limits have discarded.
func TestAReplicatedStreamThatIsShortBeginsAnEpoch(t *testing.T) {
	for name, lose := range map[string]func(r *replicated){
		"an older backup": func(r *replicated) {
			r.restore(1)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.looks = []look{{}, {passes: settle - 5*time.Second}} // all others are without a time
		},
		"discarded": func(r *replicated) { r.discard(3); r.answers(t) },
	} {
		t.Run(name, func(t *testing.T) {
			forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
				store, r := open(t), &replicated{memoryStream: newMemoryStream()}
				s := runReplicated(t, store, r)
				lose(r)
				if name == "an older backup" {
					await(t, func() bool { return problem(s, "NATS") != nil })
					r.now.Add(int64(5 * time.Second))
				}
				begun := time.Now()
				pulse(r.memoryStream, 9)
				awaitCommitted(t, store, 9)
				if took := time.Since(begun); took > settle/2 {
					t.Errorf("folded after %v: what is gone by a look that shows why needs no time to settle", took)
				}
				want := []string{"2:0:9:0 blind  > "}
				if got := trimQuiet(storedLines(t, store)); !slices.Equal(got, want) {
					t.Errorf("events %q, want %q", got, want)
				}
			})
		})
	}
}
