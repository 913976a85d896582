// Package limiter gives every key an allowance that grows again with time.
package limiter

import (
	"sync"
	"time"
)

// Limiter gives every key a burst at once and then one more each interval. It remembers a key only until its burst is
// whole again: for a key within its rate, no longer than one interval.
type Limiter[K comparable] struct {
	interval time.Duration
	burst    int
	most     int // keys remembered; 0 for no bound. Beyond it, new keys share the zero key's allowance.
	clock    func() time.Time
	begun    time.Time

	mu      sync.Mutex
	whole   map[K]time.Duration // when the burst is whole again, after begun: a time.Time would hold a pointer
	sweepAt int                 // keys
	swept   time.Duration
}

// minSweep is the number of keys below which forgetting is not worth the work.
const minSweep = 1024

// New makes a limiter that remembers at most so many keys; 0 for no bound.
func New[K comparable](burst int, interval time.Duration, most int, now func() time.Time) *Limiter[K] {
	return &Limiter[K]{
		interval: interval, burst: burst, most: most, clock: now, begun: now(),
		whole: make(map[K]time.Duration), sweepAt: minSweep, swept: -interval,
	}
}

func (l *Limiter[K]) now() time.Duration { return l.clock().Sub(l.begun) }

// Take uses one of the key's allowance and returns 0, or returns how long to wait for the next.
func (l *Limiter[K]) Take(key K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	key, whole := l.find(key, now)
	if wait := l.wait(whole, now); wait > 0 {
		return wait
	}
	l.whole[key] = whole + l.interval
	return 0
}

// Wait returns what Take would, and uses nothing.
func (l *Limiter[K]) Wait(key K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	_, whole := l.find(key, now)
	return max(l.wait(whole, now), 0)
}

// GiveBack returns to the key what one Take used.
func (l *Limiter[K]) GiveBack(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, whole := l.find(key, l.now())
	if _, known := l.whole[key]; known {
		l.whole[key] = whole - l.interval
	}
}

// find returns the key whose allowance counts, and when its burst is whole again, now at the earliest.
func (l *Limiter[K]) find(key K, now time.Duration) (K, time.Duration) {
	whole, known := l.whole[key]
	if !known && l.full(now) {
		var shared K
		key, whole = shared, l.whole[shared]
	}
	return key, max(whole, now)
}

func (l *Limiter[K]) wait(whole, now time.Duration) time.Duration {
	return whole - now - time.Duration(l.burst-1)*l.interval
}

// full makes room for a key, if there is any to make.
func (l *Limiter[K]) full(now time.Duration) bool {
	if len(l.whole) >= l.sweepAt && now-l.swept >= l.interval {
		l.sweep(now)
	}
	return l.most > 0 && len(l.whole) >= l.most
}

// sweep forgets the keys whose burst is whole. It makes a new map: a map never gives its room back.
func (l *Limiter[K]) sweep(now time.Duration) {
	kept := make(map[K]time.Duration)
	for k, whole := range l.whole {
		if whole > now {
			kept[k] = whole
		}
	}
	l.whole, l.swept = kept, now
	l.sweepAt = max(minSweep, 2*len(kept))
	if l.most > 0 {
		l.sweepAt = min(l.sweepAt, l.most)
	}
}
