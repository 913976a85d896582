package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// One client has half of the streams at most, by whichever of its addresses; all have no more than there are.
func TestNobodyTakesAllStreams(t *testing.T) {
	var s seats
	var leave []func()
	take := func(address string, n int) (got int) {
		t.Helper()
		for range n {
			if back, ok := s.take(netip.MustParseAddr(address)); ok {
				leave = append(leave, back)
				got++
			}
		}
		return got
	}
	first := take("2001:db8::1", maxReaders/4) + take("2001:db8::2", maxReaders)
	if first != maxReaders/2 {
		t.Errorf("one network took %d of %d", first, maxReaders)
	}
	if got := take("2001:db8:0:1::1", 1) + take("192.0.2.1", 1); got != 2 {
		t.Error("others have none")
	}
	if got := take("192.0.2.1", maxReaders); got != maxReaders/2-2 {
		t.Errorf("another took %d", got)
	}
	if take("192.0.2.2", 1) != 0 {
		t.Error("there are more than there are")
	}
	for _, back := range leave {
		back()
	}
	if s.taken != 0 || len(s.of) != 0 {
		t.Errorf("%d are taken when all have left, %v", s.taken, s.of)
	}
}

func TestTooManyStreamsAreRefused(t *testing.T) {
	for _, target := range []string{"/api/events", "/api/events?brief"} {
		s := newService(t, newFakeStore())
		from := netip.MustParseAddrPort(httptest.NewRequest("GET", "/", nil).RemoteAddr).Addr()
		for range maxReadersOfOne {
			s.seats.take(from)
		}
		w := do(s, "GET", target)
		wantDetail(t, w, http.StatusServiceUnavailable, "too many streams are open")
		if w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

// forgetful is a store whose sessions may be away.
type forgetful struct {
	nodestore.Store
	away atomic.Bool
}

func (f *forgetful) Session(ctx context.Context, hash string, now time.Time) (nodestore.Session, error) {
	if f.away.Load() {
		return nodestore.Session{}, errors.New("the database is away")
	}
	return f.Store.Session(ctx, hash, now)
}

// Who signs out elsewhere is told nothing more after a minute. A database that is away turns nobody out.
func TestAStreamEndsWithTheSession(t *testing.T) {
	for _, target := range []string{"/api/events", "/api/events?brief"} {
		synctest.Test(t, func(t *testing.T) {
			store := &forgetful{Store: realStore(t)}
			defer store.Close()
			s := withStore(t, store, realTime)
			v := visit(t, s)
			v.signIn(testPassword)
			w, ended := httptest.NewRecorder(), make(chan time.Time, 1)
			r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
			for _, c := range v.cookies {
				r.AddCookie(c)
			}
			go func() {
				s.Handler().ServeHTTP(w, r)
				ended <- time.Now()
			}()
			time.Sleep(3*rightsEvery + time.Second)
			store.away.Store(true)
			time.Sleep(2 * rightsEvery)
			store.away.Store(false)
			if len(ended) > 0 {
				t.Fatalf("%s: it ended although nobody signed out", target)
			}
			v.do("POST", "/sign-out", url.Values{})
			out := time.Now()
			took := (<-ended).Sub(out)
			if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "retry:") {
				t.Errorf("%s: %d %q", target, w.Code, w.Body)
			}
			if s.seats.taken != 0 {
				t.Errorf("%s: it still has a seat", target)
			}
			if took > rightsEvery {
				t.Errorf("%s: it ended %v after signing out", target, took)
			}
		})
	}
}

// A reader that leaves while its rights are looked at is no trouble of the database.
func TestLeavingIsNoTroubleOfTheDatabase(t *testing.T) {
	s := withStore(t, realStore(t))
	v := visit(t, s)
	v.signIn(testPassword)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/events", nil)
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	if _, no := s.identify(r); no == nil {
		t.Fatal("it was found without asking")
	}
	if s.broken != nil {
		t.Errorf("the page says: %v", s.broken)
	}
}
