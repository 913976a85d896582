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
	partStorage  = "NATS storage"
	partStream   = "heartbeats"
	partVersion  = "version"
)

var parts = []string{partDatabase, partNATS, partStorage, partStream, partVersion}

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

// mended notes that a part works. It reports whether it was broken until now.
func (h *health) mended(part string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.errors[part]
	delete(h.errors, part)
	return was != nil
}

// standby clears what only the owner can know.
func (h *health) standby() {
	h.set(partNATS, nil)
	h.set(partStorage, nil)
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
	for _, part := range parts {
		checks = append(checks, httpserver.Check{
			Name: part,
			Run:  func(context.Context) error { return s.health.get(part) },
		})
	}
	return checks
}
