// Package evaluator folds the heartbeat stream: it reads messages, lets package node decide, and commits state,
// position and events in one transaction. Of several evaluators one folds and the others stand by.
package evaluator

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// Stream is what the evaluator needs of the bus.
type Stream interface {
	EnsureStreams(ctx context.Context, partition int, l bus.StreamLimits) error
	Info(ctx context.Context, partition int) (bus.StreamInfo, error)
	StampAt(ctx context.Context, partition int, seq uint64) (time.Time, error)
	Consume(ctx context.Context, partition int, start bus.Start) (Reader, error)
	Publish(ctx context.Context, subject string, data []byte) (uint64, error)
	Announce(ctx context.Context, partition int, id string, data []byte) error
	// Ready says why this process has no connection to NATS now, or nil.
	Ready(ctx context.Context) error
}

// Reader delivers the messages of the stream in order until it ends.
type Reader interface {
	Messages() <-chan bus.Message
	Err() error
	Stop()
}

// Options are what an evaluator is made of.
type Options struct {
	ID          string // of this process, distinct among evaluators
	Partition   int
	Stream      Stream
	Store       nodestore.Writer
	Settings    node.Settings
	Limits      bus.StreamLimits
	HistoryDays int  // 0 keeps all
	SamplesDays int  // 0 stores no samples, and deletes those there are
	Pace        Pace // the zero value means DefaultPace
	Log         zerolog.Logger
	Metrics     prometheus.Registerer
	Tracer      *tracing.Tracer  // nil for none
	Now         func() time.Time // judges the monitor itself, never a node
}

// Pace is how fast an evaluator does things.
type Pace struct {
	LeaseTTL  time.Duration // how long after its last renewal a dead owner is replaced
	Renew     time.Duration
	Acquire   time.Duration // between the attempts of a stand-by
	Commit    time.Duration // at least this often, while nodes report
	Rows      int           // of nodes, with which a commit does not wait for its time; 0 for maxDirty
	Idle      time.Duration // at least this often, while none does
	Verify    time.Duration // of no message, after which the position is verified
	Stalled   time.Duration // of no message, after which people are told
	Retry     time.Duration // after an error of the database or of NATS
	GiveUp    time.Duration // how long an evaluator that met an unknown version leaves the lease to others
	Settle    time.Duration // how long a replicated stream must seem to lack what was folded, before that is believed
	CallLimit time.Duration // for one call of the database or of NATS
	Samples   time.Duration // between two writes of samples

	Alone      time.Duration // without a connection to NATS, after which an owner leaves the lease to others; 0 for never
	LastResort time.Duration // for which those with a connection go first
}

// DefaultPace keeps a take-over under six seconds.
var DefaultPace = Pace{
	LeaseTTL:  4 * time.Second,
	Renew:     time.Second,
	Acquire:   500 * time.Millisecond,
	Commit:    500 * time.Millisecond,
	Rows:      500, // more would hold up the disk that heartbeats are synced to as well
	Idle:      5 * time.Second,
	Verify:    2 * time.Second,
	Stalled:   30 * time.Second,
	Retry:     500 * time.Millisecond,
	GiveUp:    30 * time.Second,
	Settle:    25 * time.Second, // see unsettled
	CallLimit: 5 * time.Second,
	Samples:   5 * time.Second,

	Alone: 10 * time.Second, LastResort: 5 * time.Second,
}

// Service is one evaluator.
type Service struct {
	Options
	metrics metrics
	health  health
	trouble troubles // with the database
	alone   alone
}

// New makes an evaluator.
func New(o Options) (*Service, error) {
	if err := o.Settings.Check(); err != nil {
		return nil, err
	}
	if o.Pace == (Pace{}) {
		o.Pace = DefaultPace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{Options: o}
	s.metrics = newMetrics(o.Metrics)
	s.Store = database{o.Store, s.noteDatabase}
	s.health.watch(o.Metrics)
	return s, nil
}

// Run folds whenever it holds the lease, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lease, err := s.acquire(ctx)
		if err != nil {
			return nil //nolint:nilerr // only the end of ctx ends acquire
		}
		s.Log.Info().Int64("term", lease.Term).Msg("folding")
		err = s.own(ctx, lease)
		s.metrics.standby()
		if ctx.Err() == nil {
			s.leave(ctx, err)
		}
	}
	return nil
}

// acquire waits until the lease is ours. Its error is that of ctx.
func (s *Service) acquire(ctx context.Context) (nodestore.Lease, error) {
	for {
		if s.mayAcquire(ctx) {
			lease, err := s.tryAcquire(ctx)
			switch {
			case err == nil:
				s.alone.resort = !s.alone.since.IsZero()
				return lease, nil
			case errors.Is(err, nodestore.ErrHeld):
				s.databaseWorks(callLoad, callCommit, callRecord) // those are the owner's
				s.heldByOther()
			}
		}
		if !sleep(ctx, s.Pace.Acquire) {
			return nodestore.Lease{}, ctx.Err()
		}
	}
}

func (s *Service) tryAcquire(ctx context.Context) (nodestore.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Pace.CallLimit)
	defer cancel()
	return s.Store.Acquire(ctx, s.Partition, s.ID, s.Pace.LeaseTTL, s.Settings)
}

// leave says why folding ended, and waits as long as it should.
func (s *Service) leave(ctx context.Context, err error) {
	pause := s.Pace.Retry
	switch {
	case errors.Is(err, contract.ErrUnknownVersion):
		s.broken(partVersion, err)
		pause = s.Pace.GiveUp
	case errors.Is(err, errAlone):
		s.leaveAlone(err)
		return // the wait is that for a last resort
	case errors.Is(err, nodestore.ErrFenced):
		s.Log.Warn().Msg("another evaluator took over: standing by")
	case nodestore.TroubleOf(err) != nodestore.None:
		s.Log.Debug().Err(err).Msg("folding ended, starting again") // what is wrong was said when it began
	default:
		s.Log.Error().Err(err).Msg("folding ended, starting again")
	}
	sleep(ctx, pause)
}

// broken notes that a part does not work, and logs it once.
func (s *Service) broken(part string, err error) {
	if s.health.set(part, err) {
		s.Log.Error().Err(err).Msg(part + " does not work")
	}
}

// works notes that a part works, and says so when it did not before.
func (s *Service) works(part string) {
	if s.health.mended(part) {
		s.Log.Info().Msg(part + ": works again")
	}
}

// sleep waits for d. It returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
