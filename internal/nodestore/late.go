package nodestore

import (
	"context"
	"errors"
	"sync"
)

// Late remembers why a store that is waited for is not there yet.
type Late struct {
	mu  sync.Mutex
	err error
}

// Open makes of an engine's Open one whose errors are for people, and stay the same as long as the kind of trouble
// does: so they are news only when something changed.
func (l *Late) Open(open func(context.Context) (Store, error)) func(context.Context) (Store, error) {
	return func(ctx context.Context) (Store, error) {
		s, err := open(ctx)
		if err == nil {
			return s, nil
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		kind := TroubleOf(err)
		if kind == Other || kind != TroubleOf(l.err) || Passing(err) != Passing(l.err) {
			l.err = Explained{err}
		}
		return nil, l.err
	}
}

// Why is the reason for people.
func (l *Late) Why(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return errors.New("waiting for it")
	}
	return l.err
}
