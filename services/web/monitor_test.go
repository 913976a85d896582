package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func TestTheMonitorPage(t *testing.T) {
	store := newFakeStore(sample()...)
	c := &store.status.Clock
	c.Position.Stamp, c.Accepted, c.Position.Seq = ago(2*time.Second), ago(7*time.Second), 1234567
	store.status.Chats = []nodestore.ChatStatus{
		{Chat: "-1001234", Active: true, LastError: "the bot was blocked", Waiting: 3, Oldest: noon.Add(-5 * time.Minute), LastTold: noon.Add(-time.Hour)},
		{Chat: "-1005678", Active: true, LastTold: noon.Add(-time.Minute)},
		{Chat: "-1009999", Waiting: 1, Oldest: noon.Add(-time.Second)},
		{Chat: "-1007777", Active: true, Waiting: 1, Oldest: noon.Add(-3 * time.Minute)},
		{Chat: "log", Active: true},
	}
	store.spans = []node.Span{
		{From: ago(49 * time.Hour), To: ago(48 * time.Hour), ID: node.EventID{Epoch: 1, Seq: 1}},
		{From: ago(10 * time.Minute), Deaf: true, ID: node.EventID{Epoch: 1, Seq: 2}},
	}
	s := newService(t, store)
	for i, at := range []time.Duration{-3 * time.Minute, -90 * time.Second, -61 * time.Second, -10 * time.Second} {
		s.Now = func() time.Time { return noon.Add(at) }
		n := i/2 + 1
		s.Process(fmt.Appendf(nil, `{"v":1,"service":"ingest","id":"in-%d","version":"dev","started":1772366399,"accepted":%d,"refused":{"401":%d,"413":%d}}`, i%2, 60*n, 4*n, 2*n))
	}
	for at, process := range map[time.Duration]string{
		-61 * time.Second: `{"v":1,"service":"evaluator","id":"gone","version":"0.9","started":1}`,
		-12 * time.Second: `{"v":1,"service":"evaluator","id":"ev-1","version":"1.2.3","started":1772359200}`,
		-8 * time.Second:  `{"v":1,"service":"evaluator","id":"ev-0","version":"dev","started":1772366399}`,
		-2 * time.Second:  `{"v":1,"service":"web\n","id":"<b>\u202e","version":"1.2.3","started":9999999999}`,
		-1 * time.Second:  `{"v":2,"service":"other","id":"of another version"}`,
	} {
		s.Now = func() time.Time { return noon.Add(at) }
		s.Process([]byte(process))
	}
	s.Process([]byte("no JSON"))
	s.Now = func() time.Time { return noon }
	w := do(s, "GET", "/monitor")
	wantStatus(t, w, http.StatusOK)
	wantPlain(t, w.Body.String(),
		"ingest ✓ FINE Last heartbeat 7 s ago Heartbeats 1.0 a second in the last full minute Accepted 120 in the last 3 min Refused by status 8 × 401, 4 × 413 in the last 3 min Process in-0 1 min 1 s ago Process in-1 10 s ago",
		"evaluator ✓ FINE Lease holder evaluator-1 Term 1 Last commit 1 s ago Evaluation lag 2 s age of the newest message Position 1,234,567 stream epoch 1 Lost after silence of 3 min default Nodes 5 of at most 100",
		"notifier ✕ BROKEN Alerts waiting 5 Last told 1 min ago",
		"Version", "Open pages 0",
		"evaluator ev-0 dev 1 s 8 s ago evaluator ev-1 1.2.3 not the version of this page 2 h 12 s ago ingest in-1 dev 1 s 10 s ago web <b> 1.2.3 not the version of this page 0 s 2 s ago",
		"…1234 ✕ BROKEN 3 5 min 11:00:00 UTC the bot was blocked", "…5678 ✓ FINE 0 — 11:59:00 UTC —", "…9999 ! NO NOTIFIER 1 1 s never —",
		"…7777 ! LATE 1 3 min never —", "log ✓ FINE",
		"24 hours 10 min 7 days 1 h 10 min 30 days 1 h 10 min 90 days 1 h 10 min",
		"deaf 11:50:00 UTC lasts 10 min", "blind 2026-02-27 11:00 UTC 2026-02-27 12:00 UTC 1 h")
	if got := plain(do(s, "GET", "/monitor?lang=ru").Body.String()); !strings.Contains(got, "1,0 в секунду за последнюю полную минуту") {
		t.Error(got)
	}
}

func TestTheMonitorPageSaysWhatIsWrong(t *testing.T) {
	for name, change := range map[string]func(*nodestore.Status){
		"evaluator ✕ BROKEN Lease holder nobody": func(s *nodestore.Status) { s.Term = 0 },
		"evaluator ✕ BROKEN":                     func(s *nodestore.Status) { s.CommittedAge = time.Minute },
		"ingest ✕ BROKEN":                        func(s *nodestore.Status) { s.Clock.Deaf = true },
		"ingest ! LOOK Beyond MAX_NODES 7":       func(s *nodestore.Status) { s.Clock.Overflow = 7 },
		"notifier ! LOOK":                        func(s *nodestore.Status) { s.Chats = nil },
	} {
		store := newFakeStore(sample()...)
		change(&store.status)
		wantPlain(t, do(newService(t, store), "GET", "/monitor").Body.String(), name)
	}
}

func TestTrafficForgetsAfterAnHour(t *testing.T) {
	var tr traffic
	now := noon
	said := func(id string, n int64) {
		tr.add(contract.Process{ID: id, Answered: contract.Answered{Accepted: n, Refused: map[string]int64{"401": n}}}, now)
	}
	for i := range int64(200) {
		said("a", i)
		now = now.Add(time.Minute)
	}
	if got := tr.sum(now.Add(-time.Minute)); got.Accepted != trafficMinutes || got.Refused["401"] != trafficMinutes || got.Rate != 1.0/60 || now.Sub(got.Since) > 62*time.Minute {
		t.Errorf("got %+v", got)
	}
	if got := tr.sum(now.Add(2 * time.Hour)); got.Accepted != 0 || len(got.Ingests) != 0 {
		t.Errorf("hours later: %+v", got)
	}
	for i := range 2 * maxIngests {
		said(strconv.Itoa(i), 1)
	}
	if n := len(tr.sum(now).Ingests); n > maxIngests {
		t.Errorf("%d ingests are remembered", n)
	}
}

func TestWhatWasAnsweredBeforeIsNotCounted(t *testing.T) {
	var tr traffic
	now := noon
	for _, said := range []struct {
		id       string
		accepted int64
		refused  map[string]int64
		want     int // accepted so far
		want401  int
	}{
		{"a", 1000, map[string]int64{"401": 50}, 0, 0}, // before it was heard
		{"a", 1003, map[string]int64{"401": 52}, 3, 2},
		{"a", 1003, map[string]int64{"401": 52}, 3, 2},
		{"b", 70, nil, 3, 2},
		{"b", 71, map[string]int64{"401": 1}, 4, 3},
		{"a", 2, map[string]int64{"401": 1}, 6, 4}, // it began anew
	} {
		now = now.Add(time.Second)
		tr.add(contract.Process{ID: said.id, Answered: contract.Answered{Accepted: said.accepted, Refused: said.refused}}, now)
		if got := tr.sum(now); got.Accepted != said.want || got.Refused["401"] != said.want401 {
			t.Errorf("after %+v: %d accepted, %v refused", said, got.Accepted, got.Refused)
		}
	}
}
