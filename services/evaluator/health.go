package evaluator

import (
	"context"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
)

// The parts that readiness names.
const (
	partDatabase = "database"
	partNATS     = "NATS"
	partStream   = "heartbeats"
	partVersion  = "version"
)

// health remembers what is broken.
type health struct {
	mu     sync.Mutex
	errors map[string]error
}

// set notes the state of a part. It reports whether it broke just now.
func (h *health) set(part string, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.errors[part]
	if h.errors == nil {
		h.errors = make(map[string]error)
	}
	h.errors[part] = err
	return was == nil && err != nil
}

// standby clears what only the owner can know.
func (h *health) standby() {
	h.set(partNATS, nil)
	h.set(partStream, nil)
	h.set(partVersion, nil)
}

func (h *health) get(part string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.errors[part]
}

// Checks say which part of the evaluator's world is broken. A stand-by is ready.
func (s *Service) Checks() []httpserver.Check {
	var checks []httpserver.Check
	for _, part := range []string{partDatabase, partNATS, partStream, partVersion} {
		checks = append(checks, httpserver.Check{
			Name: part,
			Run:  func(context.Context) error { return s.health.get(part) },
		})
	}
	return checks
}
