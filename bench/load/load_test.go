package load_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// door takes heartbeats and notes what it was sent.
type door struct {
	t      *testing.T
	answer func(n int, w http.ResponseWriter)
	mu     sync.Mutex
	got    []contract.Heartbeat
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	var h contract.Heartbeat
	if err != nil || json.Unmarshal(data, &h) != nil || r.Header.Get("Authorization") != "Bearer secret" {
		d.t.Errorf("bad request %q, %v", data, err)
	}
	d.mu.Lock()
	d.got = append(d.got, h)
	n := len(d.got)
	d.mu.Unlock()
	d.answer(n, w)
}

func ok(_ int, w http.ResponseWriter) { _, _ = w.Write([]byte(`{"ok":true}`)) }

func run(t *testing.T, d *door, o load.Options) load.Result {
	t.Helper()
	d.t = t
	s := httptest.NewServer(d)
	defer s.Close()
	o.Addr, o.Secret = strings.TrimPrefix(s.URL, "http://"), "secret"
	r, err := load.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryNodeReportsInTurn(t *testing.T) {
	d := &door{answer: ok}
	r := run(t, d, load.Options{Connections: 3, Nodes: 10, Count: 40, Duration: time.Minute, Down: func(n int) bool { return n == 17 }})
	if r.Accepted != 40 || len(d.got) != 40 {
		t.Fatalf("%d accepted of %d", r.Accepted, len(d.got))
	}
	times := make(map[string]int)
	down := 0
	for _, h := range d.got {
		times[h.NodeID]++
		if h.Status == "DOWN" {
			down++
			if h.NodeID != load.NodeID(7) || h.Reason == "" {
				t.Errorf("down is %+v", h)
			}
		}
	}
	if len(times) != 10 || times[load.NodeID(3)] != 4 || down != 1 {
		t.Errorf("%v, %d down", times, down)
	}
}

// Machines do not boot between two loads, and their sequence grows: else heartbeats of the second would count as overtaken.
func TestMachinesRunOn(t *testing.T) {
	d := &door{answer: ok}
	for i := range 2 {
		run(t, d, load.Options{Connections: 1, Nodes: 2, First: 1, Count: 6, Duration: time.Minute, Begin: time.Now().Add(time.Duration(i) * time.Second)})
	}
	boots := make(map[string]int64)
	for _, h := range d.got {
		if h.Seq <= boots[h.BootID] || h.IntervalSec != 60 {
			t.Errorf("seq %d after %d of boot %s, interval %v", h.Seq, boots[h.BootID], h.BootID, h.IntervalSec)
		}
		boots[h.BootID] = h.Seq
	}
	if len(boots) != 2 || len(d.got) != 10 {
		t.Errorf("%d boots of two nodes in two loads, %d heartbeats", len(boots), len(d.got))
	}
}

func TestRefusedAreCountedApart(t *testing.T) {
	d := &door{answer: func(n int, w http.ResponseWriter) {
		if n%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		ok(n, w)
	}}
	r := run(t, d, load.Options{Connections: 2, Nodes: 5, Count: 40, Duration: time.Minute})
	if r.Accepted != 30 || r.Refused[503] != 10 {
		t.Errorf("%+v", r)
	}
}

// Whoever waits for a slow answer posts the next ones late, and their latency counts from when they were due.
func TestLatencyCountsFromTheTimeDue(t *testing.T) {
	d := &door{answer: func(n int, w http.ResponseWriter) {
		if n == 1 {
			time.Sleep(500 * time.Millisecond)
		}
		ok(n, w)
	}}
	r := run(t, d, load.Options{Connections: 1, Nodes: 5, Rate: 20, Count: 10, Duration: time.Minute})
	if slow := r.Latencies.Quantile(0.5); slow < 100*time.Millisecond || r.Late == 0 {
		t.Errorf("median %v, %d late: the wait for the first answer is left out", slow, r.Late)
	}
	if took := r.Took; took < 450*time.Millisecond {
		t.Errorf("10 at 20 a second took %v", took)
	}
}

func TestSilentNodesPostNothing(t *testing.T) {
	d := &door{answer: ok}
	run(t, d, load.Options{Connections: 2, Nodes: 4, Count: 40, Duration: time.Minute, Alive: func(node int) bool { return node != 2 }})
	for _, h := range d.got {
		if h.NodeID == load.NodeID(2) {
			t.Fatal("the silent node reported")
		}
	}
	if len(d.got) != 30 {
		t.Errorf("%d heartbeats", len(d.got))
	}
}

// With a stride every node reports as often, and no two neighbours one after the other.
func TestAStrideScattersTheNodes(t *testing.T) {
	d := &door{answer: ok}
	run(t, d, load.Options{Connections: 1, Nodes: 10, Stride: 618_033, Count: 20, Duration: time.Minute})
	times := make(map[string]int)
	for i, h := range d.got {
		times[h.NodeID]++
		if want := load.NodeID(i * 3 % 10); h.NodeID != want {
			t.Errorf("heartbeat %d is about %s, want %s", i, h.NodeID, want)
		}
	}
	if len(times) != 10 || times[load.NodeID(3)] != 2 {
		t.Errorf("%v", times)
	}
}
