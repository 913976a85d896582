package web

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// maxRendered bounds how many rendered parts are kept: clients choose what to look for, so there is no end to it.
const maxRendered = 256

// renderedPart is the live part of a page, shared by all who look at the same.
type renderedPart struct {
	status   int
	body     []byte
	standing *standing // nil when it could not be read
}

// cache keeps rendered parts for viewTTL, so that a thousand viewers of one page cost one reading and one rendering.
// News make it all old at once.
type cache struct {
	now    func() time.Time
	flight singleflight.Group

	mu         sync.Mutex
	generation uint64 // grows with forget: a part begun before is nobody's answer after it
	parts      map[string]cached
}

type cached struct {
	part *renderedPart
	at   time.Time
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, parts: make(map[string]cached)}
}

// forget makes every later get render again.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.parts)
}

// get returns the part with this key, no older than viewTTL. render goes on when the one who began it leaves.
func (c *cache) get(ctx context.Context, key string, render func(ctx context.Context) *renderedPart) (*renderedPart, error) {
	c.mu.Lock()
	if k, ok := c.parts[key]; ok && c.fresh(k) {
		defer c.mu.Unlock()
		return k.part, nil
	}
	generation := c.generation
	c.mu.Unlock()
	done := c.flight.DoChan(strconv.FormatUint(generation, 10)+" "+key, func() (any, error) {
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
		defer cancel()
		part := render(rctx)
		c.keep(generation, key, part)
		return part, nil
	})
	select {
	case r := <-done:
		return r.Val.(*renderedPart), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *cache) fresh(k cached) bool {
	age := c.now().Sub(k.at)
	return age >= 0 && age < viewTTL
}

func (c *cache) keep(generation uint64, key string, part *renderedPart) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if len(c.parts) >= maxRendered {
		for key, k := range c.parts {
			if !c.fresh(k) {
				delete(c.parts, key)
			}
		}
	}
	if len(c.parts) < maxRendered {
		c.parts[key] = cached{part, c.now()}
	}
}
