package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// statuses has the rig's node be as the list says, one status a look; the last one stays.
func (r *rig) statuses(list ...string) {
	n := 0
	r.look = func(context.Context) []probe.Report {
		s := list[min(n, len(list)-1)]
		n++
		return []probe.Report{{Status: s, Reason: "r" + fmt.Sprint(n), Evidence: "e"}}
	}
}

// told are the annotations that arrived: "STATUS@seconds" since the begin.
func (r *rig) told(h contract.Heartbeat) string {
	var out []string
	for _, a := range h.Annotations {
		at := time.UnixMilli(a.At).Sub(r.begun)
		out = append(out, fmt.Sprintf("%s@%v", a.Status, at.Round(time.Second).Seconds()))
	}
	return strings.Join(out, " ")
}

var away = &SendError{Text: "no connection", Retry: false}

// TestChangesThatWereNotDeliveredAreToldLater with the agent's own times, each once, and no heartbeat is queued.
func TestChangesThatWereNotDeliveredAreToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.statuses("UP", "UP", "DOWN", "DOWN", "UP", "UP", "UP")
		r.answer = func(n int) error {
			if n >= 2 && n <= 5 {
				return away
			}
			return nil
		}
		r.runFor(t, 5*time.Minute)
		if len(r.sent) != 6 {
			t.Fatalf("%d heartbeats", len(r.sent))
		}
		// Looks at 0, 33, 93, 153, 213, 273 s; the answers 2 to 5 were lost.
		if got := r.told(r.sent[5]); got != "DOWN@93 UP@213" {
			t.Errorf("told %q", got)
		}
		if a := r.sent[5].Annotations[0]; a.Reason != "r3" || a.Evidence != "e" {
			t.Errorf("%+v", a)
		}
		if again := r.State.due(r.sent[5], 0); again != nil {
			t.Errorf("told again: %+v", again)
		}
	})
}

// TestAChangeThatIsDeliveredByARetryNeedsNoAnnotation: the heartbeat itself tells it, seconds later.
func TestAChangeThatIsDeliveredByARetryNeedsNoAnnotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.statuses("UP", "DOWN", "DOWN", "UP", "DEGRADED", "DEGRADED")
		r.answer = func(n int) error {
			if n == 2 || n == 4 || n == 5 {
				return busy
			}
			return nil
		}
		r.runFor(t, 100*time.Second)
		var got []string
		for _, h := range r.sent {
			got = append(got, h.Status+" "+r.told(h))
		}
		// The beat at 93 s finds UP, then DEGRADED: what was between must not get lost.
		want := []string{"UP ", "DOWN ", "DOWN ", "UP ", "DEGRADED UP@93", "DEGRADED UP@93 DEGRADED@94"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestOnlyTheLastHundredChangesAreKept(t *testing.T) {
	s, _ := OpenState("")
	for i := range 150 {
		s.undelivered(contract.Heartbeat{NodeID: "n", Status: fmt.Sprint(i)}, int64(i), 1)
	}
	s.undelivered(contract.Heartbeat{NodeID: "n", Status: "149"}, 999, 1) // no change
	var got []int64
	for {
		h := contract.Heartbeat{NodeID: "n", Status: "UP"}
		h.Annotations = s.due(h, 2)
		if len(h.Annotations) == 0 {
			break
		}
		if len(h.Annotations) > contract.MaxAnnotations {
			t.Fatalf("%d in one heartbeat", len(h.Annotations))
		}
		for _, a := range h.Annotations {
			got = append(got, a.At)
		}
		s.delivered(h)
	}
	if len(got) != 100 || got[0] != 50 || got[99] != 149 {
		t.Errorf("%d from %d to %d, want 50 to 149", len(got), got[0], got[len(got)-1])
	}
}

// TestTheStateSurvivesARestart: a new agent knows what the old one could not tell, and what it had told.
func TestTheStateSurvivesARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	open := func() *State {
		t.Helper()
		s, err := OpenState(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	save := func(s *State) {
		t.Helper()
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	}
	s := open()
	s.identify("base", []string{"a", "b"})
	s.undelivered(contract.Heartbeat{NodeID: "base", Status: "DOWN", Reason: "r", Evidence: "e"}, 5, 1)
	save(s)
	s = open()
	s.undelivered(contract.Heartbeat{NodeID: "base", Status: "DOWN"}, 6, 1) // as before: no change
	h := contract.Heartbeat{NodeID: "base", Status: "DOWN"}
	h.Annotations = s.due(h, 1)
	want := []contract.Annotation{{At: 5, Status: "DOWN", Reason: "r", Evidence: "e"}}
	if !reflect.DeepEqual(h.Annotations, want) {
		t.Errorf("%+v, want %+v", h.Annotations, want)
	}
	s.delivered(h)
	save(s)
	s = open()
	if got := s.identify("base", []string{"b", "a", "c"}); got["a"] != "base" || got["b"] != "base-b" || got["c"] != "base-c" {
		t.Errorf("ids %v", got)
	}
	if again := s.due(h, 1); again != nil {
		t.Errorf("told again %+v", again)
	}
	files, _ := os.ReadDir(dir)
	if len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestWhatIsPendingForAnotherNodeStays(t *testing.T) {
	s, _ := OpenState("")
	for _, id := range []string{"a", "b"} {
		s.undelivered(contract.Heartbeat{NodeID: id, Status: "DOWN"}, 5, 1)
	}
	h := contract.Heartbeat{NodeID: "b", Status: "UP"}
	h.Annotations = s.due(h, 2)
	s.delivered(h)
	if a, b := s.due(contract.Heartbeat{NodeID: "a"}, 2), s.due(contract.Heartbeat{NodeID: "b"}, 2); len(a) != 1 || len(b) != 0 {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestAStateThatCannotBeReadIsPutAside(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, stateFile)
	if err := os.WriteFile(file, []byte(`{"ids":{"a"`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenState(dir)
	if err == nil || !strings.Contains(err.Error(), "put aside as "+file+".bad") {
		t.Errorf("error %v", err)
	}
	s.identify("base", []string{""})
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(dir); err != nil {
		t.Error(err)
	}
}

func TestIDsOfSeveralNodes(t *testing.T) {
	s, _ := OpenState("")
	steps := []struct {
		names string
		want  map[string]string
	}{
		{"", map[string]string{"": "b"}},                           // none found yet
		{"one", map[string]string{"one": "b"}},                     // it takes the id
		{"one two", map[string]string{"one": "b", "two": "b-two"}}, // and keeps it
		{"two one", map[string]string{"one": "b", "two": "b-two"}},
		{"two", map[string]string{"two": "b-two"}}, // one was forgotten
		{"two three", map[string]string{"two": "b-two", "three": "b"}},
	}
	for _, st := range steps {
		names := strings.Fields(st.names)
		if len(names) == 0 {
			names = []string{""}
		}
		if got := s.identify("b", names); !reflect.DeepEqual(got, st.want) {
			t.Fatalf("%q: %v, want %v", st.names, got, st.want)
		}
	}
	if got := s.identify("other", []string{"two", "three"}); got["two"] != "other" || got["three"] != "other-three" {
		t.Errorf("after NODE_ID changed: %v", got)
	}
	long := strings.Repeat("ü", 127)
	got := s.identify(long, []string{"x", "yy", "yz"})
	if len([]rune(got["yy"])) != 128 || len([]rune(got["yz"])) != 128 || got["yy"] == got["yz"] {
		t.Errorf("%v", got)
	}
}

// TestSeveralNodes: each has its heartbeat; one that is refused does not keep the others back, and a retry sends only
// what is missing.
func TestSeveralNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.look = func(context.Context) []probe.Report {
			return []probe.Report{{Name: "a", Status: "UP"}, {Name: "b", Status: "DOWN", Reason: "x"}, {Name: "c", Status: "UP"}}
		}
		r.answer = func(n int) error {
			switch r.sent[n-1].NodeID {
			case "n-b":
				return &SendError{Text: "refused", Status: 403}
			case "n-c":
				if n == 3 {
					return busy
				}
			}
			return nil
		}
		r.runFor(t, 20*time.Second)
		var got []string
		for i, h := range r.sent {
			got = append(got, fmt.Sprintf("%v %s", r.at[i].Seconds(), h.NodeID))
		}
		want := []string{"0 n", "0 n-b", "0 n-c", "0.5 n-b", "0.5 n-c"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		r.wantLog(t, "heartbeat not accepted: busy", "heartbeat accepted: n is UP",
			"heartbeat still not accepted: refused", "heartbeat accepted: n-c is UP")
	})
}

// TestAServerThatIsAwayIsAskedOnceForAllNodes: time-outs of each would take longer than the interval.
func TestAServerThatIsAwayIsAskedOnceForAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.random = 1
		r.look = func(context.Context) []probe.Report {
			return []probe.Report{{Name: "a", Status: "UP"}, {Name: "b", Status: "DOWN"}}
		}
		r.answer = func(int) error { return busy }
		r.runFor(t, 2*time.Second)
		if len(r.sent) != 2 || r.sent[0].NodeID != "n" || r.sent[1].NodeID != "n" {
			t.Errorf("%d heartbeats: %+v", len(r.sent), r.sent)
		}
		if got := r.State.due(contract.Heartbeat{NodeID: "n-b", Status: "UP"}, 99); len(got) != 1 {
			t.Errorf("pending of the other node: %+v", got)
		}
	})
}

func TestTheFirstServerThatWorksIsKept(t *testing.T) {
	var down [3]bool
	var servers []*fakeServer
	var clients []*Client
	for i := range down {
		servers = append(servers, newFakeServer(t, func(w http.ResponseWriter, r *http.Request) {
			if down[i] {
				says(502, "")(w, r)
				return
			}
			says(200, `{"ok":true}`)(w, r)
		}))
		clients = append(clients, client(t, servers[i].URL))
	}
	s := NewServers(clients...)
	counts := func() (out [3]int) {
		for i := range servers {
			out[i] = len(servers[i].got())
		}
		return out
	}
	for i, step := range []struct {
		down [3]bool
		want [3]int
		err  string
	}{
		{want: [3]int{1, 0, 0}},
		{down: [3]bool{true}, want: [3]int{2, 1, 0}},
		{want: [3]int{2, 2, 0}}, // the first is back, the second still works
		{down: [3]bool{false, true}, want: [3]int{2, 3, 1}},
		{down: [3]bool{false, false, true}, want: [3]int{3, 3, 2}}, // round to the first
		{down: [3]bool{true, true, true}, want: [3]int{4, 4, 3}, err: "the server answered 502; the server answered 502; the server answered 502"},
	} {
		down = step.down
		err := s.Send(t.Context(), contract.Heartbeat{})
		if got := counts(); got != step.want || (err == nil) != (step.err == "") || err != nil && err.Error() != step.err {
			t.Fatalf("step %d: requests %v, want %v; %v", i, got, step.want, err)
		}
	}
}

func TestWhatIsAboutTheHeartbeatIsNotTriedElsewhere(t *testing.T) {
	for _, status := range []int{400, 401, 403, 413, 429} {
		first, second := newFakeServer(t, says(status, `{"detail":"no"}`)), newFakeServer(t, says(200, `{"ok":true}`))
		err := NewServers(client(t, first.URL), client(t, second.URL)).Send(t.Context(), contract.Heartbeat{})
		if failure, ok := errors.AsType[*SendError](err); !ok || failure.Status != status || len(second.got()) != 0 {
			t.Errorf("%d: %v, %d requests elsewhere", status, err, len(second.got()))
		}
	}
	// The same statuses of what is no monitor: a firewall, another program's login.
	for _, status := range []int{204, 301, 400, 401, 403, 404, 413, 429, 500, 503} {
		first, second := newFakeServer(t, says(status, "")), newFakeServer(t, says(200, `{"ok":true}`))
		if err := NewServers(client(t, first.URL), client(t, second.URL)).Send(t.Context(), contract.Heartbeat{}); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestThePreferredServerIsTriedAgain after ten minutes with another: it may be another monitor, where the node is lost.
func TestThePreferredServerIsTriedAgain(t *testing.T) {
	down := true
	first := newFakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		if down {
			says(502, "")(w, r)
			return
		}
		says(200, `{"ok":true}`)(w, r)
	})
	second := newFakeServer(t, says(200, `{"ok":true}`))
	s := NewServers(client(t, first.URL), client(t, second.URL))
	now := time.Unix(1e9, 0)
	s.now = func() time.Time { return now }
	for i, step := range []struct {
		pass          time.Duration
		down          bool
		first, second int // requests so far
	}{
		{0, true, 1, 1},
		{time.Minute, false, 1, 2},
		{9*time.Minute - time.Second, false, 1, 3},
		{time.Second, true, 2, 4},
		{10*time.Minute - time.Second, false, 2, 5},
		{time.Second, false, 3, 5},
		{time.Minute, false, 4, 5},
	} {
		now, down = now.Add(step.pass), step.down
		if err := s.Send(t.Context(), contract.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
		if a, b := len(first.got()), len(second.got()); a != step.first || b != step.second {
			t.Fatalf("step %d: %d and %d requests, want %d and %d", i, a, b, step.first, step.second)
		}
	}
}

// TestAServerThatAskedForTimeIsLeftAlone, also while another is tried again and in the next heartbeats, but not for ever.
func TestAServerThatAskedForTimeIsLeftAlone(t *testing.T) {
	first := newFakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1800")
		says(503, `{"detail":"later"}`)(w, r)
	})
	second := newFakeServer(t, says(502, ""))
	s := NewServers(client(t, first.URL), client(t, second.URL))
	now := time.Unix(1e9, 0)
	s.now = func() time.Time { return now }
	for i, step := range []struct {
		pass          time.Duration
		first, second int
	}{
		{0, 1, 1},
		{time.Second, 1, 2},
		{5*time.Minute - 2*time.Second, 1, 3},
		{time.Second, 2, 4},
	} {
		now = now.Add(step.pass)
		failure, ok := errors.AsType[*SendError](s.Send(t.Context(), contract.Heartbeat{}))
		if !ok || !failure.Retry || failure.RetryAfter != 0 || failure.Text != "the server answered 503 (later); the server answered 502" {
			t.Errorf("step %d: %+v", i, failure)
		}
		if a, b := len(first.got()), len(second.got()); a != step.first || b != step.second {
			t.Fatalf("step %d: %d and %d requests, want %d and %d", i, a, b, step.first, step.second)
		}
	}
	// One alone: the wait that is left is told.
	alone := NewServers(client(t, first.URL))
	alone.now = s.now
	for _, want := range []time.Duration{1800 * time.Second, 270 * time.Second} {
		failure, _ := errors.AsType[*SendError](alone.Send(t.Context(), contract.Heartbeat{}))
		if failure == nil || failure.RetryAfter != want {
			t.Errorf("%+v, want %v", failure, want)
		}
		now = now.Add(30 * time.Second)
	}
}

func TestTheShortestWaitOfAllServersCounts(t *testing.T) {
	got := join([]*SendError{
		{Text: "a", Retry: true, RetryAfter: 9 * time.Second}, {Text: "b"}, {Text: "c", Retry: true, RetryAfter: 4 * time.Second},
	})
	if want := (SendError{Text: "a; b; c", Retry: true, RetryAfter: 4 * time.Second}); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	if got := join([]*SendError{{Text: "a", Retry: true, RetryAfter: time.Hour}, {Text: "b", Retry: true}}); got.RetryAfter != 0 {
		t.Errorf("%+v: one of them asks for no wait", *got)
	}
}
