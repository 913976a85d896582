package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
)

const ttl = 8 * time.Second

// keep holds a lease until it is lost, and returns when and why that was.
func keep(t *testing.T, renew func(context.Context) error) (after time.Duration, why error) {
	t.Helper()
	ctx, lose := context.WithCancelCause(t.Context())
	defer lose(nil)
	h := &lease.Hold{TTL: ttl, Now: time.Now}
	began := time.Now()
	h.Renewed(began)
	h.Keep(ctx, func(ctx context.Context) error { return h.Renew(ctx, renew) }, lose)
	return time.Since(began), context.Cause(ctx)
}

func TestALeaseThatCannotBeRenewedIsGivenUp(t *testing.T) {
	for name, renew := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return nodestore.ErrUnavailable },
		"hangs": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if after, why := keep(t, renew); after < ttl || after > ttl+ttl/2 || !errors.Is(why, lease.ErrStale) {
					t.Errorf("given up after %v: %v", after, why)
				}
			})
		})
	}
}

func TestALeaseThatWasTakenOverIsGivenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 10
		after, why := keep(t, func(context.Context) error {
			if left--; left > 0 {
				return nil
			}
			return nodestore.ErrFenced
		})
		if want := 10 * ttl / lease.Beats; after != want || !errors.Is(why, nodestore.ErrFenced) {
			t.Errorf("given up after %v, want %v: %v", after, want, why)
		}
	})
}

// Nobody takes over within a ttl from when a renewal was asked for; when it was answered does not matter.
func TestALeaseLastsFromWhenItWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lease.Hold{TTL: ttl, Now: time.Now}
		if err := h.Renew(t.Context(), func(context.Context) error {
			time.Sleep(3 * time.Second)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl - 3*time.Second - time.Nanosecond)
		if !h.Fresh() {
			t.Error("over too soon")
		}
		time.Sleep(time.Nanosecond)
		if h.Fresh() {
			t.Error("over too late")
		}
	})
}

func TestAnOwnerIsGoneWhenItsLeaseWasSeenUnchanged(t *testing.T) {
	at := time.Now()
	type look struct {
		after time.Duration
		lease int
		gone  bool
	}
	for name, looks := range map[string][]look{
		"looked at often":        {{0, 1, false}, {4 * time.Second, 1, false}, {4*time.Second - 1, 1, false}, {1, 1, true}},
		"renewed":                {{0, 1, false}, {4 * time.Second, 1, false}, {time.Second, 2, false}, {4 * time.Second, 2, false}, {3 * time.Second, 2, false}},
		"could not be looked at": {{0, 1, false}, {time.Hour, 1, false}, {4 * time.Second, 1, true}},
		"the clock went back":    {{0, 1, false}, {-time.Hour, 1, false}, {4 * time.Second, 1, false}, {4 * time.Second, 1, true}},
	} {
		var s lease.Sight[int]
		now := at
		for i, l := range looks {
			now = now.Add(l.after)
			if gone := s.Look(l.lease, now, ttl); gone != l.gone {
				t.Errorf("%s: look %d says gone %v", name, i, gone)
			}
		}
	}
}
