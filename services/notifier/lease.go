package notifier

import (
	"context"
	"sync/atomic"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
)

// leased is the context of a send. It is over as soon as the lease is, which Err finds out by the clock: whoever asks
// right before a message leaves cannot be deceived by a timer that was frozen along.
//
// An answer that is waited for may come later than that. To give it up would not take the message back.
type leased struct {
	context.Context
	fresh   func() bool
	expired *atomic.Bool // Err has said so
}

// Err implements context.Context.
func (l leased) Err() error {
	if err := l.Context.Err(); err != nil {
		return err
	}
	if !l.fresh() {
		l.expired.Store(true)
		return lease.ErrStale
	}
	return nil
}
