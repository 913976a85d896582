package evaluator

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errAlone ends owning: this process has the database and no connection to NATS, and another may have both.
var errAlone = errors.New("this evaluator's own connection to NATS is down")

// resortFactor is by how much longer a last resort keeps the lease before it offers it again.
const resortFactor = 6

// alone follows for how long this process had no connection to NATS. An owner without one leaves the lease to a replica
// that has one. When nobody has, somebody must hold it all the same: who else would tell people that nothing comes. So a
// replica without a connection takes the lease as a last resort, after a time in which the others could, and offers it
// again now and then.
type alone struct {
	since   time.Time     // zero while connected
	resort  bool          // the lease was taken without a connection
	silence time.Duration // of the owner that left, for its next term as a last resort
}

// look notes whether the connection works, and returns for how long it did not.
func (a *alone) look(err error, now time.Time) time.Duration {
	switch {
	case err == nil:
		*a = alone{}
		return 0
	case a.since.IsZero():
		a.since = now
	}
	return now.Sub(a.since)
}

// mayAcquire reports whether the lease may be tried for: at once with a connection to NATS, else after a while.
func (s *Service) mayAcquire(ctx context.Context) bool {
	err := s.Stream.Ready(ctx)
	without := s.alone.look(err, s.Now())
	if err == nil {
		s.works(partNATS)
		return true
	}
	s.broken(partNATS, err)
	return without >= s.Pace.LastResort
}

// heldByOther begins the wait for a last resort anew: there is an owner.
func (s *Service) heldByOther() {
	if !s.alone.since.IsZero() {
		s.alone.since = s.Now()
		return
	}
	s.health.standby()
}

// tooAlone says that the owner was without a connection to NATS for so long that it must leave the lease to others.
func (o *owner) tooAlone(ctx context.Context, a *alone) error {
	limit := o.Pace.Alone
	if o.alone.resort {
		limit *= resortFactor
	}
	err := o.Stream.Ready(ctx)
	if without := a.look(err, o.Now()); err == nil || limit <= 0 || without < limit {
		return nil
	}
	return fmt.Errorf("%w: %w", errAlone, err)
}

// leaveAlone prepares the wait for a replica that has a connection.
func (s *Service) leaveAlone(err error) {
	s.metrics.left.Inc()
	s.broken(partNATS, err)
	s.Log.Warn().Err(err).Msg("the lease is left to another evaluator that reaches NATS")
}
