package web

import (
	"net/netip"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
)

const (
	// maxReaders bounds the streams that are open at a time; each costs a goroutine and a connection.
	maxReaders = 4096
	// maxReadersOfOne is for how many of them one address may have: nobody alone keeps all others from theirs.
	maxReadersOfOne = maxReaders / 2
)

// seats counts the open streams.
type seats struct {
	mu    sync.Mutex
	taken int
	of    map[netip.Addr]int
}

// take takes a seat for a viewer's address, unless too many are taken; leave gives it back.
func (s *seats) take(from netip.Addr) (leave func(), ok bool) {
	client := clientaddr.Origin(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= maxReaders || s.of[client] >= maxReadersOfOne {
		return nil, false
	}
	if s.of == nil {
		s.of = make(map[netip.Addr]int)
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
