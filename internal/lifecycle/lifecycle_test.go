package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/lifecycle"
)

// diary remembers who stopped, in order.
type diary struct {
	mu      sync.Mutex
	stopped []string
}

func (d *diary) service(name string) lifecycle.Service {
	return lifecycle.Service{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stopped = append(d.stopped, name)
		return ctx.Err()
	}}
}

func TestServicesStopInReverseOrder(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lifecycle.Run(ctx, time.Second, d.service("a"), d.service("b"), d.service("c")); err != nil {
		t.Errorf("a clean stop: %v", err)
	}
	if want := []string{"c", "b", "a"}; !slices.Equal(d.stopped, want) {
		t.Errorf("stopped %v, want %v", d.stopped, want)
	}
}

func TestAServiceThatEndsStopsTheOthers(t *testing.T) {
	for name, err := range map[string]error{"failed": errors.New("no disk"), "ended": nil} {
		var d diary
		broken := lifecycle.Service{Name: "broken", Run: func(context.Context) error { return err }}
		got := lifecycle.Run(t.Context(), time.Second, d.service("a"), broken)
		if got == nil || !strings.Contains(got.Error(), "broken: ") || (err != nil && !errors.Is(got, err)) {
			t.Errorf("%s: %v, want it to name the service and why", name, got)
		}
		if !slices.Equal(d.stopped, []string{"a"}) {
			t.Errorf("%s: stopped %v", name, d.stopped)
		}
	}
}

func TestAServiceThatHangsIsLeftAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		hung := lifecycle.Service{Name: "hung", Run: func(context.Context) error { <-release; return nil }}
		var d diary
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := lifecycle.Run(ctx, 4*time.Second, d.service("a"), hung)
		if err == nil || !strings.Contains(err.Error(), "hung: did not stop within 4s") || time.Since(began) != 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if !slices.Equal(d.stopped, []string{"a"}) {
			t.Errorf("the others must be stopped all the same: %v", d.stopped)
		}
	})
}
