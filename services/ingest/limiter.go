package ingest

import (
	"sync"
	"time"
)

// limiter gives every key a burst at once and then one more each interval. It remembers a key only until its burst is
// whole again: for a key within its rate, no longer than one interval.
type limiter[K comparable] struct {
	interval time.Duration
	burst    int
	most     int // keys remembered; 0 for no bound. Beyond it, new keys share the zero key's allowance.
	now      func() time.Time

	mu      sync.Mutex
	whole   map[K]time.Time // when the burst is whole again
	sweepAt int             // keys
	swept   time.Time
}

// minSweep is the number of keys below which forgetting is not worth the work.
const minSweep = 1024

func newLimiter[K comparable](burst int, interval time.Duration, most int, now func() time.Time) *limiter[K] {
	return &limiter[K]{
		interval: interval, burst: burst, most: most, now: now,
		whole: make(map[K]time.Time), sweepAt: minSweep,
	}
}

// take uses one of the key's allowance and returns 0, or returns how long to wait for the next.
func (l *limiter[K]) take(key K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	whole, known := l.whole[key]
	if !known && l.full(now) {
		var shared K
		key, whole = shared, l.whole[shared]
	}
	if whole.Before(now) {
		whole = now
	}
	if wait := whole.Sub(now) - time.Duration(l.burst-1)*l.interval; wait > 0 {
		return wait
	}
	l.whole[key] = whole.Add(l.interval)
	return 0
}

// full makes room for a key, if there is any to make.
func (l *limiter[K]) full(now time.Time) bool {
	if len(l.whole) >= l.sweepAt && now.Sub(l.swept) >= l.interval {
		l.sweep(now)
	}
	return l.most > 0 && len(l.whole) >= l.most
}

// sweep forgets the keys whose burst is whole. It makes a new map: a map never gives its room back.
func (l *limiter[K]) sweep(now time.Time) {
	kept := make(map[K]time.Time)
	for k, whole := range l.whole {
		if whole.After(now) {
			kept[k] = whole
		}
	}
	l.whole, l.swept = kept, now
	l.sweepAt = max(minSweep, 2*len(kept))
	if l.most > 0 {
		l.sweepAt = min(l.sweepAt, l.most)
	}
}
