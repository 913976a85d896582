// Package lifecycle runs services together and stops them in reverse order.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Service is something that runs until its context ends. Returning earlier, even nil, stops all others.
type Service struct {
	Name string
	Run  func(ctx context.Context) error
}

// errEnded stands for a service that returned nil although nobody asked it to stop.
var errEnded = errors.New("ended by itself")

// Run starts the services in order and waits. When ctx ends or a service returns, it stops them one after the other
// in reverse order, each within grace. The result is nil only when ctx ended and all stopped cleanly and in time.
func Run(ctx context.Context, grace time.Duration, services ...Service) error {
	type result struct {
		index int
		err   error
	}
	running := make([]struct {
		cancel context.CancelFunc
		done   chan error
	}, len(services))
	first := make(chan result, len(services))
	for i, s := range services {
		sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		running[i].cancel, running[i].done = cancel, make(chan error, 1)
		go func() {
			err := s.Run(sctx)
			running[i].done <- err
			first <- result{i, err}
		}()
	}
	var errs []error
	select {
	case <-ctx.Done():
	case r := <-first:
		if r.err == nil {
			errs = append(errs, fmt.Errorf("%s: %w", services[r.index].Name, errEnded))
		}
	}
	for i := len(services) - 1; i >= 0; i-- {
		running[i].cancel()
		select {
		case err := <-running[i].done:
			if err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("%s: %w", services[i].Name, err))
			}
		case <-time.After(grace):
			errs = append(errs, fmt.Errorf("%s: did not stop within %v", services[i].Name, grace))
		}
	}
	return errors.Join(errs...)
}
