package link

import (
	"bytes"
	"encoding/binary"
	"errors"
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
			if err := k.pass(p, &talk, buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errLost = errors.New("the commit is lost")

// pass hands on what the client said.
func (k *Link) pass(p *pair, talk *frontend, data []byte) error {
	if k.postgres {
		commit, end := talk.commits(data)
		if commit && k.loses() {
			return errLost
		}
		if commit && k.swallows() {
			p.swallowing.Store(true)
		}
		if end >= 0 && k.halves() {
			if _, err := p.server.Write(data[:end]); err != nil {
				return err
			}
			k.halved()
			k.wait()
			data = data[end:]
		}
	}
	_, err := p.server.Write(data)
	return err
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

// halves reports whether a commit is to be halved.
func (k *Link) halves() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.halve != nil
}

func (k *Link) halved() {
	k.Hold(true)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.halve != nil {
		close(k.halve)
		k.halve = nil
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
// COMMIT itself. Of a pipeline it says where in data its end, the last Sync, begins; else -1.
func (f *frontend) commits(data []byte) (found bool, end int) {
	f.left = append(f.left, data...)
	end = -1
	for {
		kind, body, ok := f.next()
		if !ok {
			return found, end
		}
		switch kind {
		case 'B':
			f.binds++
		case 'S':
			if f.binds > 1 {
				found, end = true, max(len(data)-len(f.left)-syncSize, 0)
			}
			f.binds = 0
		case 'Q':
			found = found || bytes.HasPrefix(bytes.ToLower(body), []byte("commit"))
		}
	}
}

// syncSize is the length of a Sync message.
const syncSize = 5

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
