package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// Servers delivers heartbeats to the first of several addresses that works, and stays with it while it does. It is used
// by one goroutine at a time.
type Servers struct {
	clients []*Client
	at      int // the one that worked last
}

// NewServers joins clients, at least one, in order of preference.
func NewServers(clients ...*Client) *Servers { return &Servers{clients: clients} }

// Send delivers one heartbeat. The error is a *SendError of all that were tried, or that of ctx when ctx ended first.
func (s *Servers) Send(ctx context.Context, h contract.Heartbeat) error {
	var failures []*SendError
	for i := range s.clients {
		at := (s.at + i) % len(s.clients)
		err := s.clients[at].Send(ctx, h)
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
func (s *Servers) Offset() (time.Duration, bool) { return s.clients[s.at].Offset() }

// Close drops kept connections.
func (s *Servers) Close() {
	for _, c := range s.clients {
		c.Close()
	}
}
