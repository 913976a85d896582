package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/limiter"
)

// The limits of failed attempts. They are each process's own.
const (
	failuresAtOnce = 10 // of one address, then one each failuresEach
	failuresEach   = 6 * time.Second
	failureAddrs   = 10_000 // addresses remembered
	allAtOnce      = 100    // of all addresses together, then one each allEach
	allEach        = time.Second
	maxKnown       = 1000 // addresses with what was right there
	maxChecks      = 2    // at the same time: each may take tens of megabytes
)

// Gate limits guessing. While an address, or all together, have no attempt left, nothing is compared: right and wrong
// are refused alike. What was right is remembered for the address that it came from, so that a browser which sends its
// password with every request costs nothing, and strangers who use up the attempts of all do not keep out who was in
// before.
type Gate struct {
	now      func() time.Time
	key      []byte
	ofOne    *limiter.Limiter[netip.Addr]
	ofAll    *limiter.Limiter[struct{}]
	checking chan struct{}
	same     singleflight.Group // of the same credential from the same address one is compared, for all who wait

	mu    sync.Mutex
	known map[known]time.Time // when it was last used
}

// known is what was right, and where. The credential itself is not kept.
type known struct {
	from netip.Addr
	mac  [sha256.Size]byte
}

// NewGate makes a gate. now is the clock.
func NewGate(now func() time.Time) *Gate {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return &Gate{
		now: now, key: key,
		ofOne:    limiter.New[netip.Addr](failuresAtOnce, failuresEach, failureAddrs, now),
		ofAll:    limiter.New[struct{}](allAtOnce, allEach, 0, now),
		checking: make(chan struct{}, maxChecks),
		known:    make(map[known]time.Time),
	}
}

// Try reports whether a credential is right, by calling right unless it is known. wait is for how long the client must
// not try again; 0 when it may.
func (g *Gate) Try(from netip.Addr, credential string, right func() bool) (ok bool, wait time.Duration) {
	from = clientaddr.Origin(from)
	if wait := g.ofOne.Wait(from); wait > 0 {
		return false, wait
	}
	k := known{from, g.mac(credential)}
	if g.remembers(k) {
		return true, 0
	}
	// Else a browser or a script that begins with many requests at once would use up the attempts with what is right.
	told, _, _ := g.same.Do(from.String()+string(k.mac[:]), func() (any, error) {
		wait, leave := g.Enter(from)
		if wait > 0 {
			return verdict{wait: wait}, nil
		}
		g.checking <- struct{}{}
		ok := right()
		<-g.checking
		if leave(ok); ok {
			g.remember(k)
		}
		return verdict{ok: ok}, nil
	})
	v := told.(verdict)
	return v.ok, v.wait
}

// verdict is what Try returns.
type verdict struct {
	ok   bool
	wait time.Duration
}

// Enter counts an attempt before anybody knows whether it is right, and returns what to call when that is known. wait is for
// how long the client must not try again; then leave is nil. It is for what is compared elsewhere; Try does the rest.
func (g *Gate) Enter(from netip.Addr) (wait time.Duration, leave func(ok bool)) {
	from = clientaddr.Origin(from)
	if wait := g.ofOne.Take(from); wait > 0 {
		return wait, nil
	}
	counted := !g.was(from)
	if counted {
		if wait := g.ofAll.Take(struct{}{}); wait > 0 {
			g.ofOne.GiveBack(from)
			return wait, nil
		}
	}
	return 0, func(ok bool) {
		if !ok {
			return
		}
		g.ofOne.GiveBack(from)
		if counted {
			g.ofAll.GiveBack(struct{}{})
		}
	}
}

func (g *Gate) mac(credential string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, g.key)
	h.Write([]byte(credential))
	return [sha256.Size]byte(h.Sum(nil))
}

func (g *Gate) remembers(k known) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.known[k]
	if ok {
		g.known[k] = g.now()
	}
	return ok
}

// was reports whether anything was right at the address.
func (g *Gate) was(from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k := range g.known {
		if k.from == from {
			return true
		}
	}
	return false
}

// remember keeps a credential, in the place of the one used longest ago when there are too many.
func (g *Gate) remember(k known) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= maxKnown {
		var oldest known
		var at time.Time
		for o, used := range g.known {
			if at.IsZero() || used.Before(at) {
				oldest, at = o, used
			}
		}
		delete(g.known, oldest)
	}
	g.known[k] = g.now()
}
