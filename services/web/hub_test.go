package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// transition is the nth event of a store.
func transition(n int, id string, to node.State) nodestore.StoredEvent {
	return nodestore.StoredEvent{Event: node.Event{
		ID: node.EventID{Epoch: 1, Seq: uint64(n)}, Kind: node.Changed, NodeID: id, IP: "10.9.8.7",
		From: node.Up, To: to, Reason: "no_process", Evidence: "at 10.9.8.7", At: ago(0),
	}, Found: noon.Add(time.Second)}
}

func (f *fakeStore) add(events ...nodestore.StoredEvent) {
	f.change(func(f *fakeStore) { f.events = append(f.events, events...) })
}

// running runs the service until the test ends.
func running(t *testing.T, s *Service) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// taken returns what waits for a reader, as text.
func taken(r *reader) string {
	var b strings.Builder
	for {
		select {
		case m := <-r.queue:
			b.Write(m.data)
		case <-r.missed:
			b.Write(resetMessage.data)
		default:
			return b.String()
		}
	}
}

func TestAnEventReachesEveryReaderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		store.add(transition(1, "old", node.Down))
		s := newService(t, store, realTime)
		running(t, s)
		synctest.Wait()
		a, _ := s.hub.join("")
		b, _ := s.hub.join("")
		do(s, "GET", "/")
		store.add(transition(2, "alpha", node.Lost))
		store.change(func(f *fakeStore) { f.nodes[0].State = node.Lost })
		before := time.Now()
		s.Wake()
		time.Sleep(2 * lookPause)
		synctest.Wait()
		for i, r := range []*reader{a, b} {
			got := taken(r)
			if strings.Count(got, "\nevent: ") != 1 || !strings.HasPrefix(got, "id: 1:0:2:0\nevent: change\ndata: {") || !strings.HasSuffix(got, "}\n\n") {
				t.Errorf("reader %d got %q", i, got)
			}
			if strings.Contains(got, "10.9.8.7") {
				t.Errorf("the stream holds an address: %s", got)
			}
		}
		if d := time.Since(before); d > time.Second {
			t.Errorf("told after %v", d)
		}
		// Who asks then gets what is committed now, although others asked a moment ago.
		wantText(t, do(s, "GET", "/"), `data-summary="Nodes: 3 lost`)
		time.Sleep(3 * lookEvery)
		if again := taken(a); again != "" {
			t.Errorf("told again: %q", again)
		}
	})
}

// What one look finds is one piece for each reader: a thousand open pages cost a write for each look, not for each event.
func TestTheEventsOfALookAreOnePiece(t *testing.T) {
	h := newHub(nil)
	r, _ := h.join("")
	look := make([]nodestore.StoredEvent, 0, 3)
	h.fresh(nil, nil) // the first look finds what is old
	for _, n := range []int{3, 2, 1} {
		look = append(look, transition(n, "bravo", node.Down))
	}
	h.tell(h.fresh(look, nil))
	if n := len(r.queue); n != 1 {
		t.Errorf("%d pieces wait", n)
	}
	got := taken(r)
	for _, id := range []string{"id: 1:0:1:0\n", "id: 1:0:2:0\n", "id: 1:0:3:0\n"} {
		i := strings.Index(got, id)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place: %q", id, got)
		}
		got = got[i:]
	}
}

func TestALostAnnouncementCostsTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		s := newService(t, store, realTime)
		running(t, s)
		r, _ := s.hub.join("")
		time.Sleep(time.Second)
		store.add(transition(1, "alpha", node.Lost), nodestore.StoredEvent{Event: node.Event{ID: node.EventID{Seq: 2}, Kind: node.Blind}})
		time.Sleep(lookEvery + lookPause)
		if got := taken(r); !strings.Contains(got, "event: change\n") || !strings.Contains(got, "event: monitor\n") {
			t.Errorf("got %q", got)
		}
	})
}

// A thousand announcements in a second are at most ten queries.
func TestAStormOfAnnouncementsIsNoStormOfQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		h := newHub(func(context.Context, int) ([]nodestore.StoredEvent, error) { looks++; return nil, nil })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.run(ctx, func() {}); close(done) }()
		for range 1000 {
			h.wake()
			time.Sleep(time.Millisecond)
		}
		stop()
		<-done
		if looks < 9 || looks > 12 {
			t.Errorf("%d looks", looks)
		}
	})
}

func TestAReaderThatComesBackGetsWhatItMissed(t *testing.T) {
	h := newHub(nil)
	look := func(events ...nodestore.StoredEvent) { h.fresh(events, nil) }
	e := func(n int) nodestore.StoredEvent { return transition(n, "alpha", node.Down) }
	look(e(2), e(1))
	look(e(4), e(3), e(2), e(1))
	for last, want := range map[string]string{
		"": "", "1:0:4:0": "", "1:0:2:0": "1:0:3:0 1:0:4:0", "1:0:1:0": "1:0:2:0 1:0:3:0 1:0:4:0", "7:0:1:0": "reset", "nonsense": "reset",
	} {
		r, missed := h.join(last)
		var got []string
		for _, m := range missed {
			if m == resetMessage {
				got = append(got, "reset")
				continue
			}
			got = append(got, m.id)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("after %q: %q, want %q", last, text, want)
		}
		h.leave(r)
	}
}

func TestMoreThanOneLookCanFindIsTold(t *testing.T) {
	h := newHub(nil)
	page := func(last int) (out []nodestore.StoredEvent) {
		for n := last; n > last-lookBack; n-- {
			out = append(out, transition(n, "alpha", node.Down))
		}
		return out
	}
	h.fresh(page(1000), nil)
	if got := h.fresh(page(1000+lookBack-1), nil); len(got) != lookBack-1 {
		t.Errorf("%d messages, want %d and no reset", len(got), lookBack-1)
	}
	if got := h.fresh(page(5000), nil); len(got) != lookBack+1 || got[lookBack] != resetMessage {
		t.Errorf("%d messages", len(got))
	}
	if len(h.ring) > 2*lookBack || len(h.seen) > 2*lookBack || len(h.order) != len(h.seen) {
		t.Errorf("%d and %d are kept", len(h.ring), len(h.seen))
	}
}

func TestASlowReaderHoldsNobodyUp(t *testing.T) {
	h := newHub(nil)
	slow, _ := h.join("")
	for n := range 10 * readerQueue {
		fast, _ := h.join("")
		h.tell([]*message{{id: fmt.Sprint(n), data: []byte("x")}})
		if got := taken(fast); got != "x" {
			t.Fatalf("the fast reader got %q", got)
		}
		h.leave(fast)
	}
	if len(slow.queue) != readerQueue {
		t.Errorf("%d messages are kept for it", len(slow.queue))
	}
	if got := taken(slow); strings.Count(got, "event: reset") != 1 {
		t.Errorf("it is told %q", got)
	}
}

func TestTheStreamTellsWhenTheDatabaseGoesAndComes(t *testing.T) {
	h := newHub(nil)
	var got []string
	for _, err := range []error{nil, errors.New("gone"), errors.New("gone"), nil, nil} {
		for _, m := range h.fresh(nil, err) {
			got = append(got, string(m.data))
		}
	}
	if want := "event: status\ndata: {\"database\":false}\n\n event: status\ndata: {\"database\":true}\n\n"; strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}

// The stream over real connections: what is sent, and that it ends with its reader and with the server.
func TestTheStream(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store := newFakeStore(sample()...)
	s := newService(t, store, realTime)
	server, err := httpserver.New("127.0.0.1:0", s.Handler(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() { done <- server.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	connect := func(ctx context.Context, last string) *bufio.Scanner {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+server.Addr().String()+"/api/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Last-Event-ID", last)
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type %s", got)
		}
		lines := bufio.NewScanner(resp.Body)
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry: ") {
			t.Fatalf("begins with %q", lines.Text())
		}
		return lines
	}
	first, leave := context.WithCancel(t.Context())
	lines := connect(first, "")
	eventually(t, "the first look", func() bool { s.hub.mu.Lock(); defer s.hub.mu.Unlock(); return s.hub.begun })
	store.add(transition(1, "alpha", node.Lost))
	s.Wake()
	var got eventData
	for got.ID == "" && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got.NodeID != "alpha" || got.To != "lost" || got.At != noon.UnixMilli() || got.Found != noon.UnixMilli()+1000 {
		t.Errorf("got %+v", got)
	}
	leave()
	for lines.Scan() {
	}
	for s.hub.open() != 0 {
		time.Sleep(time.Millisecond)
	}
	lines = connect(t.Context(), "no such event")
	for lines.Scan() && lines.Text() != "event: reset" {
	}
	began := time.Now()
	stop()
	for lines.Scan() {
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if d := time.Since(began); d > 2500*time.Millisecond { // who is not told to end would hold it for three seconds
		t.Errorf("an open stream held the stop for %v", d)
	}
}

// deadConn is a connection whose other side takes nothing more.
type deadConn struct {
	*httptest.ResponseRecorder
	deadline time.Time
	writes   int
}

func (d *deadConn) SetWriteDeadline(t time.Time) error { d.deadline = t; return nil }
func (d *deadConn) FlushError() error                  { return nil }
func (d *deadConn) Write(p []byte) (int, error) {
	if d.writes++; d.writes > 1 {
		time.Sleep(time.Until(d.deadline))
		return 0, net.ErrClosed
	}
	return io.Discard.Write(p)
}

func TestAReaderThatTakesNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, newFakeStore(), realTime)
		began := time.Now()
		s.getEvents(&deadConn{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), "GET", "/api/events", nil))
		if d := time.Since(began); d != streamBeat+streamPatience {
			t.Errorf("dropped after %v", d)
		}
		if s.hub.open() != 0 {
			t.Error("it still has a place")
		}
	})
}

func TestAStreamEndsSoThatItsReaderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, newFakeStore(), realTime)
		began := time.Now()
		w := httptest.NewRecorder()
		s.getEvents(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/events", nil))
		if d := time.Since(began); d != streamLife {
			t.Errorf("ended after %v", d)
		}
		if n := strings.Count(w.Body.String(), ":\n\n"); n < int(streamLife/streamBeat)-1 {
			t.Errorf("%d signs of life", n)
		}
	})
}
