package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// openPage is the connection of a page. It notes when what was written.
type openPage struct {
	header http.Header

	mu       sync.Mutex
	text     strings.Builder
	news     []time.Time
	flushes  int
	stuck    bool // it takes nothing
	deadline chan struct{}
}

func (o *openPage) Header() http.Header { return o.header }
func (o *openPage) WriteHeader(int)     {}
func (o *openPage) FlushError() error   { o.mu.Lock(); defer o.mu.Unlock(); o.flushes++; return nil }

func (o *openPage) SetWriteDeadline(at time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !at.IsZero() && !at.After(time.Now()) {
		close(o.deadline)
	}
	return nil
}

func (o *openPage) Write(p []byte) (int, error) {
	o.mu.Lock()
	stuck := o.stuck
	o.text.Write(p)
	if strings.Contains(string(p), "event: news") {
		o.news = append(o.news, time.Now())
	}
	o.mu.Unlock()
	if stuck {
		<-o.deadline
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (o *openPage) got() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// written is how many times something was.
func (o *openPage) written() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flushes
}

func (o *openPage) heard() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.news
}

// openPages opens pages, each of another client, that leave when the test ends, or by themselves; ended counts those that
// the service ended.
func openPages(t *testing.T, s *Service, n int) (pages []*openPage, ended func() int) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { leave(); wg.Wait() })
	var mu sync.Mutex
	over := 0
	for i := range n {
		o := &openPage{header: http.Header{}, deadline: make(chan struct{})}
		pages = append(pages, o)
		from := Viewer{Address: netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i % 256)})}
		wg.Go(func() {
			s.getEvents(o, httptest.NewRequestWithContext(context.WithValue(ctx, viewerKey{}, from), "GET", "/api/events?brief", nil))
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil {
				over++
			}
		})
	}
	synctest.Wait()
	if got := s.hub.pages.open(); got != n {
		t.Fatalf("%d pages are open, want %d", got, n)
	}
	return pages, func() int { mu.Lock(); defer mu.Unlock(); return over }
}

// runUntil runs the service until stop is called, which must be in the bubble that it runs in.
func runUntil(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

// An open page hears that there is news, once for all that one look found, and not what; nothing of what was before; and
// soon, however many others are open.
func TestAPageHearsThatThereIsNews(t *testing.T) {
	for _, n := range []int{1, manyPages, 1000} {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore(sample()...)
			store.add(transition(1, "old", node.Down))
			s := newService(t, store, realTime)
			stop := runUntil(t, s)
			defer stop()
			pages, _ := openPages(t, s, n)
			time.Sleep(lookEvery + time.Second) // nothing happens for a while
			for i := range 3 {
				store.add(transition(2+i, "alpha", node.Down))
			}
			began := time.Now()
			s.Wake()
			synctest.Wait()
			for i, p := range pages {
				text := p.got()
				if head, rest, _ := strings.Cut(text, "\n\n"); !strings.HasPrefix(head, "retry: ") || rest != "event: news\ndata: {}\n\n" {
					t.Fatalf("page %d of %d got %q", i, n, text)
				}
				if d := p.heard()[0].Sub(began); d > 0 {
					t.Fatalf("page %d of %d heard after %v", i, n, d)
				}
			}
			if got := s.hub.open(); got != n {
				t.Errorf("%d streams are open, want %d", got, n)
			}
		})
	}
}

// In a storm a page hears of every change within what is promised, and the more pages there are the fewer writes each gets.
func TestAStormIsToldRarelyToMany(t *testing.T) {
	for _, c := range []struct {
		pages       int
		within      time.Duration // of a change
		least, most int           // writes to each in ten seconds
	}{
		{1, 150 * time.Millisecond, 90, 101},
		{manyPages, 200 * time.Millisecond, 65, 75},
		{500, time.Second, 10, 12},
		{1000, 3 * time.Second, 4, 5},
		{3000, 3*time.Second + lookPause, 4, 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore(sample()...)
			s := newService(t, store, realTime)
			stop := runUntil(t, s)
			defer stop()
			pages, _ := openPages(t, s, c.pages)
			time.Sleep(3 * time.Second)
			var changes []time.Time
			before := pages[0].written()
			for i := range 1000 {
				store.add(transition(i, "alpha", []node.State{node.Down, node.Up}[i%2]))
				changes = append(changes, time.Now())
				s.Wake()
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(maxPagePause + lookPause)
			heard := pages[len(pages)/2].heard()
			for _, at := range changes {
				for len(heard) > 0 && heard[0].Before(at) {
					heard = heard[1:]
				}
				if len(heard) == 0 || heard[0].Sub(at) > c.within {
					t.Fatalf("%d pages: a change is not told within %v", c.pages, c.within)
				}
			}
			if n := pages[0].written() - before; n < c.least || n > c.most {
				t.Errorf("%d pages: each was written to %d times in ten seconds, want %d to %d", c.pages, n, c.least, c.most)
			}
		})
	}
}

// A page that takes nothing holds the others up for less than a second, once: then it is no more.
func TestAPageThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		s := newService(t, store, realTime)
		stop := runUntil(t, s)
		defer stop()
		pages, ended := openPages(t, s, 20)
		pages[7].mu.Lock()
		pages[7].stuck = true
		pages[7].mu.Unlock()
		for i := range 5 {
			time.Sleep(time.Second)
			store.add(transition(i, "alpha", node.Down))
			began := time.Now()
			s.Wake()
			time.Sleep(2*pagePatience + lookPause)
			synctest.Wait()
			for k, p := range pages {
				if heard := p.heard(); k != 7 && (len(heard) != i+1 || i > 0 && !heard[i].Equal(began)) {
					t.Fatalf("change %d: page %d heard %v after %v", i, k, heard, began)
				}
			}
		}
		if n := ended(); n != 1 || s.hub.open() != 19 {
			t.Errorf("%d pages ended, %d are open", n, s.hub.open())
		}
	})
}

// A quiet page gets signs of life, and its stream ends, so that rights are looked at anew.
func TestAQuietPageLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, newFakeStore(), realTime)
		stop := runUntil(t, s)
		defer stop()
		pages, ended := openPages(t, s, 3)
		time.Sleep(streamLife - time.Second)
		// Between two looks it may become time for one.
		if n := strings.Count(pages[1].got(), ":\n\n"); n < int(streamLife/(streamBeat+lookEvery+lookPause))-1 {
			t.Errorf("%d signs of life", n)
		}
		if ended() != 0 {
			t.Error("it ended early")
		}
		time.Sleep(2 * time.Second)
		if ended() != 3 || s.hub.open() != 0 {
			t.Errorf("%d ended, %d are open", ended(), s.hub.open())
		}
	})
}

// What somebody does is on all pages at once, and in a crowd as soon as it may be.
func TestPagesAreToldToReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, newFakeStore(), realTime)
		stop := runUntil(t, s)
		defer stop()
		pages, _ := openPages(t, s, 1000)
		time.Sleep(5 * time.Second)
		first := time.Now()
		s.hub.reset()
		time.Sleep(time.Millisecond)
		s.hub.reset()
		time.Sleep(maxPagePause + lookPause)
		heard := pages[3].heard()
		if len(heard) != 2 || !heard[0].Equal(first) || heard[1].Sub(first) > maxPagePause {
			t.Errorf("at %v it heard %v", first, heard)
		}
	})
}

// A look asks the database for few events when few are new, and misses none.
func TestALookReadsWhatIsNew(t *testing.T) {
	var events []nodestore.StoredEvent // newest first
	var asked []int
	h := newHub(func(_ context.Context, limit int) ([]nodestore.StoredEvent, error) {
		asked = append(asked, limit)
		return events[:min(limit, len(events))], nil
	})
	reader, _ := h.join("")
	first := true
	happen := func(n int) (read int) {
		t.Helper()
		for range n {
			events = append([]nodestore.StoredEvent{transition(len(events)+1, "alpha", node.Down)}, events...)
		}
		asked = nil
		h.look(t.Context(), func() {})
		got := strings.Count(taken(reader), "event: change")
		if got != n && !first {
			t.Errorf("%d of %d new events were told", got, n)
		}
		first = false
		for _, n := range asked {
			read += n
		}
		return read
	}
	happen(1000) // what was there before is not told
	for _, c := range []struct{ new, most int }{
		{0, 2 * lookLeast}, {1, 2 * lookLeast}, {lookLeast, 4 * lookLeast}, {lookBack / 2, 2 * lookBack}, {lookBack / 2, lookBack}, {0, lookBack}, {0, 2 * lookLeast},
		{lookBack - 1, 2 * lookBack}, {3, lookBack}, {2, 4 * lookLeast},
	} {
		if read := happen(c.new); read > c.most {
			t.Errorf("%d new ones: %d were read, at %v", c.new, read, asked)
		}
	}
}
