package web

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Ages and staleness are differences to stamps: they are measured with the clock that stamps, however wrong this
// machine's is.
func TestAgesAreByTheClockThatStamps(t *testing.T) {
	for _, wrong := range []time.Duration{0, time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		store := newFakeStore(sample()...)
		store.nodes[0].Heard = ago(7 * time.Second)
		store.status.Clock.Position.Stamp = ago(2 * time.Second)
		s := newService(t, store, func(o *Options) {
			o.Now = func() time.Time { return noon.Add(wrong) }
			o.Clock = func(context.Context, int) (time.Time, error) { return noon, nil }
		})
		w := do(s, "GET", "/api/nodes")
		if !strings.Contains(w.Body.String(), `"age_sec":7,`) || w.Header().Get(staleHeader) != "" {
			t.Errorf("wrong by %v: stale %q\n%s", wrong, w.Header().Get(staleHeader), w.Body)
		}
		if got := do(s, "GET", "/", liveHeader, "1").Header().Get("X-Monitor-Now"); got != "1772366400000" {
			t.Errorf("wrong by %v the page counts from %s, want noon", wrong, got)
		}
		store.change(func(f *fakeStore) { f.status.Clock.Position.Stamp = ago(45 * time.Second) })
		s.forget()
		if got := do(s, "GET", "/api/nodes").Header().Get(staleHeader); got != "45" {
			t.Errorf("wrong by %v: 45 s without a message are called %q", wrong, got)
		}
	}
}

// While NATS does not answer, its clock is where it was.
func TestTheSkewIsKeptWithoutNATS(t *testing.T) {
	var away error
	s := newService(t, newFakeStore(sample()...), func(o *Options) {
		o.Now = func() time.Time { return noon.Add(time.Hour) }
		o.Clock = func(context.Context, int) (time.Time, error) { return noon, away }
	})
	for _, away = range []error{nil, errors.New("no answer")} {
		if got := s.measureSkew(t.Context()); got != -time.Hour {
			t.Errorf("skew %v, want -1 h (%v)", got, away)
		}
	}
}
