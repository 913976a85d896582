// Package ingest takes heartbeats over HTTP and stores them in JetStream: it checks the token, reads the body, groups
// what arrives together into one message, and answers 200 only once that message is stored.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/limiter"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// Bus is what ingest needs of JetStream.
type Bus interface {
	// Publish stores one message and returns its sequence. After an error it may be stored or not.
	Publish(ctx context.Context, subject string, data []byte) (uint64, error)
	// Ready says why nothing can be published now, or nil.
	Ready(ctx context.Context) error
}

// Options are what an ingest is made of.
type Options struct {
	ID             string // of this process, distinct among ingests; every batch carries it
	Secret         settings.Secret
	Partition      int
	Bus            Bus
	Tokens         TokenSource        // nil: SHARED_SECRET alone lets agents in
	TrustedProxies clientaddr.Proxies // whose X-Forwarded-For is believed
	Log            zerolog.Logger
	Metrics        prometheus.Registerer // may be nil
	Tracer         *tracing.Tracer       // nil for none
	Now            func() time.Time      // time.Now when nil
}

// The limits of requests. Authorised ones are never limited by address: hundreds of nodes may share one.
const (
	failuresAtOnce = 60 // failed authentications of one address, then one each second
	failuresEach   = time.Second
	failureAddrs   = 10_000 // addresses remembered
	reportsAtOnce  = 10     // heartbeats of one node, then one each second
	reportsEach    = time.Second
)

// Service is one ingest.
type Service struct {
	Options
	door     door
	failures *limiter.Limiter[netip.Addr]
	reports  *limiter.Limiter[uint64] // by hashes of ids, which the garbage collector need not look at
	seed     maphash.Seed
	tally    tally
	commit   *committer
	self     *selfCheck
	traces   *traces
	metrics  metrics
	refusals zerolog.Logger // sampled: strangers must not fill the log

	draining  atomic.Bool // the listener is being closed: its silence is no news
	listening *condition  // the own address answers
	storing   *condition  // messages are acknowledged
}

// Storing says why the last message could not be stored, nil when it was.
func (s *Service) Storing() error { return s.storing.get() }

// Answered is how many requests were answered so far.
func (s *Service) Answered() contract.Answered { return s.tally.answered() }

// Drain is called when the listener stops taking requests: no more pulses, and no complaint about it.
func (s *Service) Drain() { s.draining.Store(true) }

// New makes an ingest.
func New(o Options) (*Service, error) {
	switch {
	case o.Secret == "":
		return nil, errors.New("ingest: a secret is required")
	case o.ID == "":
		return nil, errors.New("ingest: an id is required")
	case o.Bus == nil:
		return nil, errors.New("ingest: a bus is required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	var known *tokens
	if o.Tokens != nil {
		known = newTokens(o.Tokens, o.Log)
		known.watch(o.Metrics)
	}
	s := &Service{
		Options:   o,
		door:      newDoor(o.Secret, known),
		failures:  limiter.New[netip.Addr](failuresAtOnce, failuresEach, failureAddrs, o.Now),
		reports:   limiter.New[uint64](reportsAtOnce, reportsEach, 0, o.Now),
		seed:      maphash.MakeSeed(),
		self:      newSelfCheck(),
		traces:    newTraces(o.Tracer, o.Now),
		metrics:   newMetrics(o.Metrics),
		refusals:  o.Log.Sample(&zerolog.BurstSampler{Burst: 10, Period: 10 * time.Second}),
		listening: newCondition(),
		storing:   newCondition(),
	}
	s.storing.watch(o.Metrics, "stream")
	s.listening.watch(o.Metrics, "own address")
	s.commit = &committer{publish: s.publish, now: o.Now, traced: o.Tracer != nil}
	return s, nil
}

// SetSelf tells ingest the address that its handler is served at, as bound, beside GET /healthz. There are no pulses
// unless it answers.
func (s *Service) SetSelf(addr string) error { return s.self.setAddr(addr) }

// Run publishes until ctx ends, then answers what is at hand. Before it, heartbeats wait.
func (s *Service) Run(ctx context.Context) error {
	if t := s.door.tokens; t != nil {
		var following sync.WaitGroup
		following.Go(func() { t.run(ctx) })
		defer following.Wait()
	}
	s.commit.start()
	defer s.commit.stop()
	s.pulse(ctx)
	return nil
}

// Checks say why heartbeats cannot be taken.
func (s *Service) Checks() []httpserver.Check {
	return []httpserver.Check{
		{Name: "NATS", Run: s.Bus.Ready},
		{Name: "stream", Run: func(context.Context) error { return s.storing.get() }},
		{Name: "own address", Run: func(context.Context) error { return s.listening.get() }},
	}
}

// publish stores one message, with the counts since the last one.
func (s *Service) publish(ctx context.Context, b contract.Batch, heartbeats [][]byte) error {
	b.V, b.Ingest, b.Unsure = contract.Version, s.ID, s.storing.get() != nil
	s.tally.moveTo(&b)
	data, err := join(b, heartbeats)
	if err != nil {
		return err
	}
	crashpoint.Here("ingest.publish")
	begun := s.Now()
	_, err = s.Bus.Publish(ctx, contract.HeartbeatSubject(s.Partition), data)
	s.metrics.published(s.Now().Sub(begun), len(heartbeats), err)
	if err != nil {
		s.tally.putBack(b)
	}
	if !errors.Is(err, context.Canceled) {
		s.stored(err)
	}
	return err
}

// stored notes whether messages are stored, and logs when that changes.
func (s *Service) stored(err error) {
	if !s.storing.set(err) {
		return
	}
	if err != nil {
		s.Log.Error().Err(err).Msg("heartbeats cannot be stored: agents get 503 until they can")
		return
	}
	s.Log.Info().Msg("heartbeats can be stored")
}

// listens notes whether the own address answers, and logs when that changes.
func (s *Service) listens(err error) {
	if err != nil {
		s.metrics.selfCheckFailures.Inc()
		err = fmt.Errorf("no answer: %w", err)
	}
	if !s.listening.set(err) {
		return
	}
	if err != nil {
		s.Log.Error().Err(err).Msg("the own address does not answer: no pulses until it does")
		return
	}
	s.Log.Info().Msg("the own address answers")
}
