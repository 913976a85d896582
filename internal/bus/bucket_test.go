package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
)

const bucket = contract.TokensBucket

func TestABucketKeepsTheLastValueOfEachKey(t *testing.T) {
	_, b := start(t)
	if all, err := b.Entries(t.Context(), bucket); err != nil || len(all) != 0 {
		t.Fatalf("an empty one: %v, %v", all, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.Put(t.Context(), bucket, "a", []byte("1")))
	must(b.Put(t.Context(), bucket, "b", []byte("2")))
	must(b.Put(t.Context(), bucket, "a", []byte("3")))
	must(b.Remove(t.Context(), bucket, "b"))
	must(b.Remove(t.Context(), bucket, "never"))
	must(b.PutAt(t.Context(), bucket, "c", []byte("4"), 0))
	all, err := b.Entries(t.Context(), bucket)
	must(err)
	got := ""
	for _, e := range all {
		got += fmt.Sprintf("%s=%s %d %v; ", e.Key, e.Value, e.Revision, e.Removed)
	}
	if want := "a=3 3 false; b= 4 true; never= 5 true; c=4 6 false; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, wrong := range []uint64{0, 1, 4} {
		if err := b.PutAt(t.Context(), bucket, "a", nil, wrong); !errors.Is(err, bus.ErrChanged) {
			t.Errorf("at revision %d: %v", wrong, err)
		}
	}
	// A removed key was used: who does not know that must not bring it back.
	if err := b.PutAt(t.Context(), bucket, "b", []byte("back"), 0); !errors.Is(err, bus.ErrChanged) {
		t.Errorf("a removed key: %v", err)
	}
	must(b.PutAt(t.Context(), bucket, "a", []byte("5"), 3))
}

func TestABucketThatIsMissing(t *testing.T) {
	b := bustest.Start(t).Connect()
	_, err := b.Entries(t.Context(), bucket)
	for what, err := range map[string]error{"Entries": err, "Put": b.Put(t.Context(), bucket, "a", nil), "Remove": b.Remove(t.Context(), bucket, "a")} {
		if !errors.Is(err, bus.ErrNoStream) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// follower collects what Follow tells.
type follower struct {
	mu    sync.Mutex
	told  []string
	ended chan error
}

func follow(ctx context.Context, b *bus.Bus) *follower {
	f := &follower{ended: make(chan error, 1)}
	add := func(s string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told = append(f.told, s)
	}
	go func() {
		f.ended <- b.Follow(ctx, bucket, func(e bus.Entry) {
			if e.Removed {
				add("-" + e.Key)
				return
			}
			add(e.Key)
		}, func() { add("whole") })
	}()
	return f
}

func (f *follower) wait(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		f.mu.Lock()
		told := slices.Clone(f.told)
		f.mu.Unlock()
		if slices.Equal(told, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("told %v, want %v", told, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestFollowingABucket(t *testing.T) {
	s, b := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	empty := follow(ctx, b)
	empty.wait(t, "whole")
	for _, key := range []string{"a", "b"} {
		if err := b.Put(ctx, bucket, key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Remove(ctx, bucket, "a"); err != nil {
		t.Fatal(err)
	}
	empty.wait(t, "whole", "a", "b", "-a")
	late := follow(ctx, b)
	late.wait(t, "b", "-a", "whole")
	cancel()
	for _, f := range []*follower{empty, late} {
		if err := <-f.ended; err != nil {
			t.Errorf("ended with %v although it was told to", err)
		}
	}
	// After anything unusual it ends: a server that starts again has forgotten who followed.
	f := follow(t.Context(), b)
	f.wait(t, "b", "-a", "whole")
	s.Restart()
	select {
	case err := <-f.ended:
		if err == nil {
			t.Error("ended without an error")
		}
	case <-time.After(20 * time.Second):
		t.Error("goes on after the server's restart")
	}
}
