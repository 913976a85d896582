package web

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func realTime(o *Options) { o.Now = time.Now }

// A query for each of the three things that they look at.
func TestAThousandViewersCostThreeQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		store.gate = make(chan struct{})
		s := newService(t, store, realTime)
		var wg sync.WaitGroup
		for i := range 1000 {
			path := []string{"/", "/?state=down", "/api/nodes?state=up"}[i%3]
			wg.Go(func() {
				if w := do(s, "GET", path); w.Code != 200 {
					t.Errorf("%s: %d", path, w.Code)
				}
			})
		}
		synctest.Wait() // all are waiting for the first one's query
		close(store.gate)
		wg.Wait()
		if n := store.asked(); n != 3 {
			t.Fatalf("%d queries", n)
		}
		time.Sleep(viewTTL - time.Millisecond)
		do(s, "GET", "/")
		if n := store.asked(); n != 3 {
			t.Fatalf("%d queries within the second", n)
		}
		time.Sleep(2 * time.Millisecond)
		do(s, "GET", "/")
		if n := store.asked(); n != 4 {
			t.Fatalf("%d queries after the second", n)
		}
	})
}

func TestWakeShowsTheEventSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		s := newService(t, store, realTime)
		do(s, "GET", "/api/nodes")
		for range 50 {
			s.Wake()
			do(s, "GET", "/api/nodes")
		}
		if n := store.asked(); n != 1 {
			t.Errorf("a storm of events made %d queries at once", n)
		}
		time.Sleep(wokenTTL)
		do(s, "GET", "/api/nodes")
		do(s, "GET", "/api/nodes")
		if n := store.asked(); n != 2 {
			t.Errorf("%d queries, want a second one and no third", n)
		}
	})
}

func TestADeadDatabaseIsNotBesieged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		reads := 0
		s := newService(t, store, realTime)
		s.standing.read = func(context.Context) (*standing, error) { reads++; return nil, nodestore.ErrUnavailable }
		for range 100 {
			wantStatus(t, do(s, "GET", "/"), 503)
		}
		if reads != 1 {
			t.Errorf("%d reads", reads)
		}
	})
}

func TestAViewerWhoLeavesTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		store.gate = make(chan struct{})
		s := newService(t, store, realTime)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := s.view.get(ctx); left <- err }()
		synctest.Wait()
		stayed := make(chan error, 1)
		go func() { _, err := s.view.get(t.Context()); stayed <- err }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left got %v", err)
		}
		close(store.gate)
		if err := <-stayed; err != nil {
			t.Errorf("the one who stayed got %v", err)
		}
	})
}

func TestForgetOutdatesAReadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		store.gate = make(chan struct{})
		s := newService(t, store, realTime)
		go func() { _, _ = s.view.get(t.Context()) }()
		synctest.Wait()
		s.view.forget()
		close(store.gate)
		synctest.Wait()
		if _, err := s.view.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := store.asked(); n != 2 {
			t.Errorf("%d queries: the one begun before was taken for the answer", n)
		}
	})
}

func TestAQueryThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		store.gate = make(chan struct{})
		s := newService(t, store, realTime)
		start := time.Now()
		wantStatus(t, do(s, "GET", "/"), 503)
		if d := time.Since(start); d != readLimit {
			t.Errorf("given up after %v", d)
		}
	})
}

func TestRunTellsOfTheDatabaseOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		var log logLines
		s := newService(t, store, realTime, log.to)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		set := func(err error) {
			store.change(func(f *fakeStore) { f.err = err })
			time.Sleep(3*pingEvery + time.Second)
		}
		set(nil)
		log.want(t, 0)
		set(errors.New("connection refused"))
		do(s, "GET", "/")
		log.want(t, 1, "connection refused", "cannot be read")
		if err := s.Checks()[0].Run(ctx); err == nil || err.Error() != "does not answer" {
			t.Errorf("readiness says %v", err)
		}
		set(nil)
		log.want(t, 2, "can be read again")
		if err := s.Checks()[0].Run(ctx); err != nil {
			t.Errorf("readiness says %v", err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
