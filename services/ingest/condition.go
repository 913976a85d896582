package ingest

import (
	"errors"
	"sync"
)

var errUnknown = errors.New("not known yet")

// condition remembers whether something works.
type condition struct {
	mu  sync.Mutex
	err error
}

func newCondition() *condition { return &condition{err: errUnknown} }

// set notes the state. It reports whether that is news: it broke, works again, or was found out for the first time.
func (c *condition) set(err error) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = c.err == errUnknown || (c.err == nil) != (err == nil) //nolint:errorlint // the very value
	c.err = err
	return changed
}

func (c *condition) get() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
