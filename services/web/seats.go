package web

import (
	"net/netip"
	"sync"
)

const (
	// maxReaders bounds the streams that are open at a time; each costs a goroutine and a connection.
	maxReaders = 4096
	// maxReadersOfOne is for how many of them one address may have: nobody alone keeps all others from theirs.
	maxReadersOfOne = maxReaders / 2
)

// seats counts the open streams. Those of one IPv6 network of 64 bits are one client's: it has them all.
type seats struct {
	mu    sync.Mutex
	taken int
	of    map[netip.Prefix]int
}

// take takes a seat, unless too many are taken; leave gives it back.
func (s *seats) take(from netip.Addr) (leave func(), ok bool) {
	client := clientOf(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= maxReaders || s.of[client] >= maxReadersOfOne {
		return nil, false
	}
	if s.of == nil {
		s.of = make(map[netip.Prefix]int)
	}
	s.taken++
	s.of[client]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.of[client]--; s.of[client] == 0 {
			delete(s.of, client)
		}
	}, true
}

// clientOf is what one client has of addresses.
func clientOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // of no address: they are one client
		return netip.Prefix{}
	}
	return p
}
