package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

const (
	// preferAgain is how long heartbeats go to another address before the preferred ones are tried again. It may be
	// another monitor's, and a node that is not heard at the first would stay lost there.
	preferAgain = 10 * time.Minute
	// longestHold bounds a wait that a server asks for across heartbeats: silence much longer is told as a lost node.
	longestHold = 5 * time.Minute
)

// Servers delivers heartbeats to the first of several addresses that works, and stays with it for a while. An address
// that asked for time is left alone until then. It is used by one goroutine at a time.
type Servers struct {
	servers []*server
	at      int       // the one that worked last
	since   time.Time // when the preferred ones were tried last
	now     func() time.Time
}

// server is one address.
type server struct {
	*Client
	held    time.Time // it asked to be left alone until then
	failure *SendError
}

// NewServers joins clients, at least one, in order of preference.
func NewServers(clients ...*Client) *Servers {
	s := &Servers{now: time.Now}
	for _, c := range clients {
		s.servers = append(s.servers, &server{Client: c})
	}
	return s
}

// Send delivers one heartbeat. The error is a *SendError of all that were tried, or that of ctx when ctx ended first.
func (s *Servers) Send(ctx context.Context, h contract.Heartbeat) error {
	first := s.at
	if s.now().Sub(s.since) >= preferAgain {
		first = 0
	}
	if first == 0 {
		s.since = s.now()
	}
	var failures []*SendError
	for i := range s.servers {
		at := (first + i) % len(s.servers)
		err := s.servers[at].send(ctx, h, s.now)
		if err == nil {
			s.at = at
			return nil
		}
		failure, ok := errors.AsType[*SendError](err)
		if !ok {
			return err
		}
		failures = append(failures, failure)
		if !failure.elsewhere() {
			break
		}
	}
	return join(failures)
}

// send delivers a heartbeat unless the server asked for time: then it fails as before.
func (s *server) send(ctx context.Context, h contract.Heartbeat, now func() time.Time) error {
	if left := s.held.Sub(now()); left > 0 {
		again := *s.failure
		again.RetryAfter = left
		return &again
	}
	err := s.Send(ctx, h)
	if failure, ok := errors.AsType[*SendError](err); ok && failure.RetryAfter > 0 {
		s.held, s.failure = now().Add(min(failure.RetryAfter, longestHold)), failure
	}
	return err
}

// join makes one failure of all: it may be tried again when any may, after the shortest wait that was asked for.
func join(failures []*SendError) *SendError {
	if len(failures) == 1 {
		return failures[0]
	}
	out := &SendError{}
	texts := make([]string, len(failures))
	var waits []time.Duration
	for i, f := range failures {
		texts[i] = f.Text
		out.Retry = out.Retry || f.Retry
		if f.Retry {
			waits = append(waits, f.RetryAfter)
		}
	}
	out.Text = strings.Join(texts, "; ")
	for i, w := range waits {
		if i == 0 || w < out.RetryAfter {
			out.RetryAfter = w
		}
	}
	return out
}

// Offset is how far the clock of the server in use was ahead of this machine's at its last answer.
func (s *Servers) Offset() (time.Duration, bool) { return s.servers[s.at].Offset() }

// Close drops kept connections.
func (s *Servers) Close() {
	for _, c := range s.servers {
		c.Close()
	}
}
