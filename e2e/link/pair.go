package link

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync/atomic"
)

// pair is one connection through a link.
type pair struct {
	client, server net.Conn
	swallowing     atomic.Bool // the answer that comes next is not passed on
}

// reset ends both ends with RST: what was not read is lost, as when a machine vanishes.
func (p *pair) reset() {
	reset(p.client)
	reset(p.server)
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

const chunk = 64 << 10

// upstream carries what the client says.
func (k *Link) upstream(p *pair) {
	defer p.reset()
	var talk frontend
	buf := make([]byte, chunk)
	for {
		n, err := p.client.Read(buf)
		if n > 0 {
			k.wait()
			commits := k.postgres && talk.commits(buf[:n])
			if commits && k.loses() {
				return
			}
			if commits && k.swallows() {
				p.swallowing.Store(true)
			}
			if _, err := p.server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// ready ends the answer to a commit: ReadyForQuery, idle.
var ready = []byte{'Z', 0, 0, 0, 5, 'I'}

// downstream carries what the server says.
func (k *Link) downstream(p *pair) {
	defer p.reset()
	buf := make([]byte, chunk)
	var tail []byte // of an answer that is swallowed
	for {
		n, err := p.server.Read(buf)
		if n > 0 {
			k.wait()
			if p.swallowing.Load() {
				tail = append(tail, buf[:n]...)
				if bytes.HasSuffix(tail, ready) {
					k.swallowed()
					return
				}
				tail = tail[max(0, len(tail)-len(ready)):]
				continue
			}
			if _, err := p.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// loses reports whether a commit is to be lost, and that it is.
func (k *Link) loses() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lose == nil {
		return false
	}
	close(k.lose)
	k.lose = nil
	return true
}

// swallows reports whether an answer is to be swallowed.
func (k *Link) swallows() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.swallow != nil
}

func (k *Link) swallowed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.swallow != nil {
		close(k.swallow)
		k.swallow = nil
	}
}

// frontend reads what a client of Postgres says, as far as to see commits
// (https://www.postgresql.org/docs/15/protocol-message-formats.html).
type frontend struct {
	started bool
	left    []byte // of a message that is not complete yet
	binds   int    // since the last Sync
}

// commits reports whether data completes a commit: a pipeline of several statements, which is one transaction, or
// COMMIT itself.
func (f *frontend) commits(data []byte) bool {
	f.left = append(f.left, data...)
	found := false
	for {
		kind, body, ok := f.next()
		if !ok {
			return found
		}
		switch kind {
		case 'B':
			f.binds++
		case 'S':
			found = found || f.binds > 1
			f.binds = 0
		case 'Q':
			found = found || bytes.HasPrefix(bytes.ToLower(body), []byte("commit"))
		}
	}
}

// next takes one message. The first of a connection has no kind.
func (f *frontend) next() (kind byte, body []byte, ok bool) {
	head := 5
	if !f.started {
		head = 4
	}
	if len(f.left) < head {
		return 0, nil, false
	}
	size := head - 4 + int(binary.BigEndian.Uint32(f.left[head-4:]))
	if len(f.left) < size {
		return 0, nil, false
	}
	if f.started {
		kind = f.left[0]
	}
	f.started = true
	body, f.left = f.left[head:size], f.left[size:]
	return kind, body, true
}
