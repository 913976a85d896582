package natsfaults_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// cutAfter is when nothing more can be on its way to a frozen server: the first message that it does not acknowledge
// is given 2 s, then it is asked why for half a second, and then the connection is cut; the rest is for a busy machine.
const cutAfter = 4 * time.Second

// TestFrozenNATSServer stops a nats-server in the middle of whatever it does. Its kernel goes on taking connections and
// bytes, so nothing but silence tells that it is frozen.
func TestFrozenNATSServer(t *testing.T) {
	w := define(t, 1)
	w.nodes = 300
	w.run(bus.StreamLimits{MaxBytes: 256 << 20})
	spans := []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}
	if testing.Short() {
		spans = spans[:1]
	}
	var folded []time.Duration
	var frozen [][2]time.Time // from when nothing may be on its way, until the thaw
	grown := int64(0)
	for _, lasts := range spans {
		w.awaitAccepted(t, time.Now(), 2*w.nodes)
		before := heap()
		began := time.Now()
		w.servers[0].Freeze()
		await(t, 9*time.Second, "readiness names NATS", func() bool { return w.problem("NATS") != "" && w.problem("stream") != "" })
		time.Sleep(time.Until(began.Add(lasts))) // the length of the fault, not a hope
		grown = max(grown, int64(heap())-int64(before))
		frozen = append(frozen, [2]time.Time{began.Add(cutAfter), time.Now()})
		began = time.Now()
		w.servers[0].Thaw()
		w.awaitAccepted(t, began, 1) // what landed on the thaw may be folded before
		w.awaitFolded()
		folded = append(folded, time.Since(began))
		await(t, 10*time.Second, "readiness again", func() bool { return w.problem("NATS") == "" && w.problem("stream") == "" })
	}
	// The first message that is stored again comes from an ingest that is unsure: the next one ends the span.
	await(t, 10*time.Second, "the blind spans", func() bool { return w.count(node.Blind, "") >= len(spans) })
	w.wantSame(t)
	blind := w.count(node.Blind, "")
	if blind < len(spans) { // more, if the disk was away besides
		t.Errorf("%d blind spans, want at least %d", blind, len(spans))
	}
	if limit := int64(32 << 20); grown > limit {
		t.Errorf("memory grew by %d MiB, limit %d MiB", grown>>20, limit>>20)
	}
	if most := slices.Max(folded); most > 10*time.Second {
		t.Errorf("folding %v after the thaw", most)
	}
	took, odd := w.fleet.slowest()
	if took > answerLimit || odd > 0 {
		t.Errorf("the slowest answer took %v, %d were neither 200 nor 503", took, odd)
	}
	acked, lost, refused, landed := w.audit()
	late, sent := w.landed(frozen)
	if lost != 0 || late != 0 || sent == 0 {
		t.Errorf("%d of %d acknowledged are not in the stream; %d of %d sent to the frozen server are", lost, acked, late, sent)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "nats-server is frozen (SIGSTOP) for 10, 20 and 30 s, and thaws", Rounds: len(spans),
		Must: fmt.Sprintf("503 within 2 s; nothing acknowledged is lost; of what was answered 503 only what was sent in the first %v may be stored; memory is bounded; the span is blind, no healthy node LOST", cutAfter),
		Seen: fmt.Sprintf("slowest answer %v; folding %s after the thaw; %d acknowledged, %d lost; %d answered 503, %d of them stored, %d of the %d sent later than that; memory grew by %d MiB; blind spans %d, LOST %d",
			took.Round(10*time.Millisecond), spread(folded), acked, lost, refused, landed, late, sent, max(grown, 0)>>20, blind, w.count(node.Changed, node.Lost)),
	})
}

// landed counts heartbeats that were sent in these spans and answered otherwise than 200: the stored ones, and all.
func (w *world) landed(spans [][2]time.Time) (landed, sent int) {
	w.t.Helper()
	stored := w.stored()
	for _, a := range w.fleet.all() {
		in := slices.ContainsFunc(spans, func(s [2]time.Time) bool { return a.at.After(s[0]) && a.at.Add(a.took).Before(s[1]) })
		if !in || a.status == http.StatusOK {
			continue
		}
		sent++
		if stored[a.meta] {
			landed++
		}
	}
	return landed, sent
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
