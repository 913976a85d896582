package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

func TestFailedAuthenticationIsLimitedByAddress(t *testing.T) {
	clock := newClock()
	b := newFakeBus()
	s := newService(t, Options{Bus: b, Now: clock.now})
	start(t, s)
	from := func(addr, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(`{"node_id":"`+addr+`"}`))
		r.RemoteAddr = addr
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}
	for range failuresAtOnce {
		expect(t, from("192.0.2.1:1000", "wrong"), 401, `{"detail":"Unauthorized"}`)
	}
	w := from("192.0.2.1:2000", "wrong")
	expect(t, w, 429, `{"detail":"too many requests with a wrong token"}`)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
	expect(t, from("192.0.2.1:3000", testSecret.Reveal()), 200, `{"ok":true}`)
	expect(t, from("192.0.2.2:1000", "wrong"), 401, `{"detail":"Unauthorized"}`)
	clock.advance(time.Second)
	expect(t, from("192.0.2.1:1000", "wrong"), 401, `{"detail":"Unauthorized"}`)
	if w := from("192.0.2.1:1000", "wrong"); w.Code != 429 {
		t.Errorf("got %d", w.Code)
	}
}

func TestHeartbeatsAreLimitedByNode(t *testing.T) {
	clock := newClock()
	b := newFakeBus()
	s := newService(t, Options{Bus: b, Now: clock.now})
	start(t, s)
	for range reportsAtOnce {
		expect(t, post(s.Handler(), Path, bearer, `{"node_id":"a"}`), 200, `{"ok":true}`)
	}
	w := post(s.Handler(), Path, bearer, `{"node_id":"a"}`)
	expect(t, w, 429, `{"detail":"too many heartbeats of this node: one a second is enough"}`)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
	for i := range 500 { // nodes behind one address
		expect(t, post(s.Handler(), Path, bearer, fmt.Sprintf(`{"node_id":"n%d"}`, i)), 200, `{"ok":true}`)
	}
	clock.advance(time.Second)
	expect(t, post(s.Handler(), Path, bearer, `{"node_id":"a"}`), 200, `{"ok":true}`)
}

func TestPublishFailure(t *testing.T) {
	b := newFakeBus()
	b.err = errors.New("nats://inside:4222 is away")
	s := newService(t, Options{Bus: b})
	start(t, s)
	w := post(s.Handler(), Path, bearer, `{"node_id":"a"}`)
	expect(t, w, 503, `{"detail":"the heartbeat could not be stored"}`)
	if got := w.Header().Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After %q", got)
	}
}

// TestBusHangs sends to a bus that never answers, as when NATS is frozen or the way to it is cut.
func TestBusHangs(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		b := newFakeBus()
		b.hold = make(chan struct{})
		_, server := serve(t, Options{Bus: b})
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				begun := time.Now()
				status, header, err := send(server.URL, fmt.Sprintf(`{"node_id":"%d"}`, i))
				if err != nil || status != 503 || header.Get("Retry-After") != "5" {
					t.Errorf("client %d: %d, Retry-After %q, %v", i, status, header.Get("Retry-After"), err)
				}
				if took := time.Since(begun); took < maxWait-leastLeft || took > maxWait+patience {
					t.Errorf("client %d waited %v", i, took)
				}
			})
		}
		clients.Wait()
		b.until(t, "messages on their way are given up", func(b *fakeBus) bool { return b.inFlight == 0 })
		b.set(func(b *fakeBus) { close(b.hold); b.hold = nil })
		if status, _, err := send(server.URL, `{"node_id":"after"}`); err != nil || status != 200 {
			t.Error(status, err)
		}
		if got := b.heartbeats(); len(got) != 1 || got[0].NodeID != "after" {
			t.Errorf("stored %+v", got)
		}
	})
}

// TestCountsRideInBatches looks at what the evaluator learns of the answers, when a message got lost in between.
func TestCountsRideInBatches(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	start(t, s)
	post(s.Handler(), Path, bearer, `{"node_id":"a"}`)
	post(s.Handler(), Path, "Bearer wrong", `{"node_id":"a"}`)
	post(s.Handler(), Path, "Bearer wrong", `{"node_id":"a"}`)
	post(s.Handler(), Path, bearer, `{}`)
	b.set(func(b *fakeBus) { b.err = errors.New("away") })
	post(s.Handler(), Path, bearer, `{"node_id":"b"}`)
	post(s.Handler(), Path, bearer, `{"node_id":"b"}`)
	b.set(func(b *fakeBus) { b.err = nil })
	post(s.Handler(), Path, bearer, `{"node_id":"c"}`)
	post(s.Handler(), Path, bearer, `{"node_id":"d"}`)
	got := b.stored()
	if len(got) != 3 {
		t.Fatalf("%d batches", len(got))
	}
	second, third := got[1], got[2]
	// The first cannot know yet whether anything is stored; the second follows one that was not.
	if !got[0].Unsure || !second.Unsure || third.Unsure {
		t.Errorf("unsure: %v, %v, %v", got[0].Unsure, second.Unsure, third.Unsure)
	}
	if want := map[string]int{"401": 2, "400": 1, "503": 2}; second.Accepted != 1 || !reflect.DeepEqual(second.Refused, want) {
		t.Errorf("second batch: accepted %d, refused %v", second.Accepted, second.Refused)
	}
	if third.Accepted != 1 || third.Refused != nil || third.Ingest != "ingest-1" || third.V != contract.Version {
		t.Errorf("third batch: %+v", third)
	}
}
