package stack

import (
	"context"
	"errors"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

// Offline calls f with the monitor in the data directory while it is not running: commands are carried out, but nothing
// is served, nobody is heard and nobody is told. It fails when the monitor runs.
func Offline(ctx context.Context, o Options, f func(store nodestore.Reader, b *bus.Bus) error) error {
	s := &Stack{log: o.Log}
	defer s.Close()
	store, err := s.openStore(ctx, o)
	if err != nil {
		return err
	}
	_, connection, err := s.openBus(ctx, o)
	if err != nil {
		return err
	}
	eval, err := newEvaluator(o, store, connection, telemetry.NewRegistry(), nil)
	if err != nil {
		return err
	}
	folding, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- eval.Run(folding) }()
	err = f(store, connection)
	stop()
	return errors.Join(err, <-done)
}
