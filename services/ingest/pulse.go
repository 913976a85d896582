package ingest

import (
	"context"
	"time"
)

// pulseAfter is how long nothing is published before a pulse.
const pulseAfter = 500 * time.Millisecond

// pulse shows the evaluator that it could hear, even while no node reports, until ctx ends.
func (s *Service) pulse(ctx context.Context) {
	timer := time.NewTimer(pulseAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(s.pulseOnce(ctx))
	}
}

// pulseOnce publishes an empty batch if one is due, and returns when to look again. While the own address is not
// known to answer it asks it even when heartbeats come, so that readiness does not hang on an idle moment.
func (s *Service) pulseOnce(ctx context.Context) time.Duration {
	idle := s.commit.idle()
	if idle < pulseAfter && s.listening.get() == nil {
		return pulseAfter - idle
	}
	err := s.self.run(ctx)
	if ctx.Err() != nil || s.draining.Load() {
		return pulseAfter
	}
	s.listens(err)
	if err != nil || idle < pulseAfter {
		return pulseAfter
	}
	if sent, err := s.commit.pulse(ctx); sent && err == nil {
		s.metrics.pulses.Inc()
	}
	return pulseAfter
}
