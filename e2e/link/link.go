// Package link is a connection between two programs that can be made to fail: cut, silent, slow, or losing one answer.
package link

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Link forwards TCP connections to one target. Its methods may be called from any goroutine.
type Link struct {
	listener net.Listener
	postgres bool
	wg       sync.WaitGroup

	mu      sync.Mutex
	target  string
	pairs   map[*pair]struct{}
	refused bool
	held    chan struct{} // closed when traffic may flow again; nil while it flows
	delay   time.Duration
	swallow chan struct{} // closed when the answer to a commit was swallowed; nil when none is to be
	halve   chan struct{} // closed when a commit was halved; nil when none is to be
	lose    chan struct{} // closed when a commit was lost on its way; nil when none is to be
	closed  bool
}

// New makes a link to the target, host:port, on a free loopback port.
func New(target string) (*Link, error) { return listen(&Link{target: target}) }

// ToPostgres is like New for a target that is a Postgres server without TLS: only such a link can Swallow and Halve.
func ToPostgres(target string) (*Link, error) { return listen(&Link{target: target, postgres: true}) }

func listen(k *Link) (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", k.target, err)
	}
	k.listener, k.pairs = l, make(map[*pair]struct{})
	k.wg.Go(k.accept)
	return k, nil
}

// Addr is where to connect instead of to the target.
func (k *Link) Addr() string { return k.listener.Addr().String() }

// Close ends the link and all its connections.
func (k *Link) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	_ = k.listener.Close()
	k.Hold(false)
	k.Cut()
	k.wg.Wait()
}

// Aim makes connections from now on lead to another target.
func (k *Link) Aim(target string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.target = target
}

// Cut resets every connection there is, in the middle of whatever it carries.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p := range k.pairs {
		p.reset()
	}
}

// Refuse resets every connection, and each new one at once, until it is called with false.
func (k *Link) Refuse(on bool) {
	k.mu.Lock()
	k.refused = on
	k.mu.Unlock()
	if on {
		k.Cut()
	}
}

// Hold keeps connections open and forwards nothing, as a network that loses every packet, until called with false.
func (k *Link) Hold(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case on && k.held == nil && !k.closed:
		k.held = make(chan struct{})
	case !on && k.held != nil:
		close(k.held)
		k.held = nil
	}
}

// Delay makes everything arrive later by d, each way.
func (k *Link) Delay(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delay = d
}

// Swallow lets the next commit on a connection to Postgres reach the database, and cuts the connection instead of
// passing on the answer. The channel is closed when it happened.
func (k *Link) Swallow() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.swallow == nil {
		k.swallow = make(chan struct{})
	}
	return k.swallow
}

// Halve lets the next commit that is one pipeline reach the database all but its end, and then holds the link as Hold
// does: the server has carried the statements out, holds their locks, and waits for the rest. The channel is closed when
// it happened.
func (k *Link) Halve() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.halve == nil {
		k.halve = make(chan struct{})
	}
	return k.halve
}

// Lose cuts the next connection to Postgres that commits before the end of the commit reaches the database. The channel
// is closed when it happened.
func (k *Link) Lose() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lose == nil {
		k.lose = make(chan struct{})
	}
	return k.lose
}

// Heal ends every fault.
func (k *Link) Heal() {
	k.Refuse(false)
	k.Hold(false)
	k.Delay(0)
	k.mu.Lock()
	k.swallow, k.halve, k.lose = nil, nil, nil
	k.mu.Unlock()
}

func (k *Link) accept() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, for a moment
			continue
		}
		k.wg.Go(func() { k.serve(c) })
	}
}

func (k *Link) serve(client net.Conn) {
	k.mu.Lock()
	target, refused := k.target, k.refused
	k.mu.Unlock()
	if refused {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		reset(client)
		return
	}
	p := &pair{client: client, server: server}
	if !k.add(p) {
		p.reset()
		return
	}
	defer k.remove(p)
	var ways sync.WaitGroup
	ways.Go(func() { k.upstream(p) })
	ways.Go(func() { k.downstream(p) })
	ways.Wait()
}

// add registers a pair, unless the link was cut off while it was being connected.
func (k *Link) add(p *pair) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.refused {
		return false
	}
	k.pairs[p] = struct{}{}
	return true
}

func (k *Link) remove(p *pair) {
	p.reset()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pairs, p)
}

// wait holds a piece of traffic back as long as the faults of the moment ask.
func (k *Link) wait() {
	k.mu.Lock()
	held, delay := k.held, k.delay
	k.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	for held != nil {
		<-held
		k.mu.Lock()
		held = k.held
		k.mu.Unlock()
	}
}
