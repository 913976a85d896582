package web

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// viewTTL is how old the data may be that a viewer gets. A thousand viewers cost one query in this time.
	viewTTL = time.Second
	// wokenTTL is the same once an event was announced: a storm of events must not become a storm of queries.
	wokenTTL = 100 * time.Millisecond
	// clockLimit bounds asking NATS for its time. Without it a page is better than none.
	clockLimit = 500 * time.Millisecond
	// readLimit bounds one query.
	readLimit = 5 * time.Second
)

// view is the last read of something in the store, shared by all viewers.
type view[T any] struct {
	read   func(ctx context.Context) (T, error)
	now    func() time.Time
	flight singleflight.Group

	mu         sync.Mutex
	generation uint64 // grows with forget; a read begun before it is nobody's answer after it
	last       T
	err        error // why the last read failed; kept as long as data, so that a dead database is not besieged
	at         time.Time
	woken      bool
}

func newView[T any](read func(context.Context) (T, error), now func() time.Time) *view[T] {
	return &view[T]{read: read, now: now}
}

// wake makes the next get read again, soon.
func (v *view[T]) wake() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.woken = true
}

// forget makes every later get read again.
func (v *view[T]) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.generation++
	v.at = time.Time{}
}

// get returns data no older than viewTTL, or why there is none. One read serves all who wait at a time; it goes on
// when the one who began it leaves.
func (v *view[T]) get(ctx context.Context) (T, error) {
	v.mu.Lock()
	ttl := viewTTL
	if v.woken {
		ttl = wokenTTL
	}
	if age := v.now().Sub(v.at); age >= 0 && age < ttl {
		defer v.mu.Unlock()
		return v.last, v.err
	}
	generation := v.generation
	v.mu.Unlock()

	done := v.flight.DoChan(strconv.FormatUint(generation, 10), func() (any, error) {
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
		defer cancel()
		return v.load(rctx, generation)
	})
	select {
	case r := <-done:
		data, _ := r.Val.(T)
		return data, r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (v *view[T]) load(ctx context.Context, generation uint64) (T, error) {
	v.mu.Lock()
	v.woken = false // an event from here on may be missed by this read
	v.mu.Unlock()
	snap, err := v.read(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	if generation == v.generation {
		v.last, v.err, v.at = snap, err, v.now()
	}
	return snap, err
}
