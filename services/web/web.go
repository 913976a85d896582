// Package web shows the nodes: to people as a page, to programs as JSON.
//
// It only reads the store. The one thing it can change, deleting a node, goes through the stream as a command.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// pingEvery is how often the database is asked although nobody looks at the page.
const pingEvery = 2 * time.Second

// Commands is where commands are put into the stream. It returns the message's sequence.
type Commands interface {
	Publish(ctx context.Context, subject string, data []byte) (uint64, error)
}

// Options are what the service is made of.
type Options struct {
	Store    nodestore.Reader
	Commands Commands // nil: commands are answered 503
	// Clock returns the time by the clock that stamps messages; nil where that is this machine's.
	Clock     func(ctx context.Context, partition int) (time.Time, error)
	Partition int

	SiteTitle string // "" for "Gensyn Nodes"

	Access   nodestore.Access   // nil: nobody can sign in with the form, or act
	Quieting nodestore.Quieting // nil: alerts cannot be silenced
	Tokens   Bucket             // ingest's copy of the tokens; nil: tokens that are made let nobody in

	Username, Password settings.Secret // both or none; the password may be a hash
	AdminToken         settings.Secret // of programs; "" for none
	OIDC               access.OIDC
	PublicView         bool // everybody may look, without addresses
	StatusPage         bool // everybody may see how many nodes are what
	TrustedProxies     clientaddr.Proxies
	IngestURL          string // where agents reach ingest; "" is not known, or with AgentHint the page's own
	PublicURL          string // where people reach the page; "" is taken from each request
	// AgentHint says that heartbeats are taken at the page's own address, as standalone does: the page of an empty
	// monitor can then show the whole command that starts an agent.
	AgentHint bool

	Log     zerolog.Logger
	Metrics prometheus.Registerer // may be nil
	Now     func() time.Time      // nil for time.Now
}

// Service serves the page and the API. It is safe for concurrent use.
type Service struct {
	Options
	view     *view[*snapshot] // all nodes, for programs
	standing *view[*standing]
	before   atomic.Pointer[snapshot] // the last read of all nodes: the next one reads what is new
	cache    *cache
	hub      *hub
	seats    seats
	spans    *view[[]node.Span] // of the last 90 days
	traffic  traffic
	// processes are those that say that they run.
	processes processes
	assets    assets
	pages     pages
	metrics   metrics
	handler   http.Handler

	password access.Password
	gate     *access.Gate
	origins  *http.CrossOriginProtection
	failures zerolog.Logger // sampled: strangers must not fill the log
	attempts *attempts
	provider *access.Provider // nil for none
	copyNow  chan struct{}    // takes one when ingest could not be told of a token

	mu      sync.Mutex
	broken  error // why the database could not be read last time
	reading reading
}

// New makes the service. It does not touch the store: the page comes up before the database does.
func New(o Options) (*Service, error) {
	if o.Store == nil {
		return nil, errors.New("web: no store")
	}
	if err := checkLogin(o.Username, o.Password); err != nil {
		return nil, err
	}
	o.Store = modestStore{o.Store}
	if o.SiteTitle == "" {
		o.SiteTitle = "Gensyn Nodes"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{Options: o, metrics: newMetrics(o.Metrics)}
	s.view, s.standing, s.cache = newView(s.read, o.Now), newView(s.readStanding, o.Now), newCache(o.Now)
	s.spans = newView(func(ctx context.Context) ([]node.Span, error) {
		return o.Store.BlindSpans(ctx, node.Stamp(o.Now().Add(-longestWindow).UnixNano()))
	}, o.Now)
	s.hub = newHub(func(ctx context.Context, limit int) ([]nodestore.StoredEvent, error) {
		return o.Store.Events(ctx, "", limit)
	})
	var err error
	if s.password, err = access.ParsePassword(o.Password); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.origins, err = s.crossOrigin(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.provider = newProvider(o)
	s.gate, s.attempts, s.copyNow = access.NewGate(o.Now), newAttempts(o.Now), make(chan struct{}, 1)
	s.failures = o.Log.Sample(&zerolog.BurstSampler{Burst: 10, Period: 10 * time.Second})
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

// Handler serves everything but the probes of health.
func (s *Service) Handler() http.Handler { return s.handler }

// Run watches the database until ctx ends, so that open pages hear of news, and the log tells when it goes and comes,
// even if nobody looks.
func (s *Service) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	looking.Go(func() { s.hub.run(ctx, s.forget) })
	looking.Go(func() { s.keepTokens(ctx) })
	looking.Go(func() { s.pruneAccess(ctx) })
	defer looking.Wait()
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		if err := s.ping(ctx); ctx.Err() == nil {
			s.note(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Wake says that an event was announced: open pages are told of it, and the next viewer gets what is committed now.
func (s *Service) Wake() {
	s.view.wake()
	s.standing.wake()
	s.hub.wake()
}

// Rest is for how long after a Wake another one would change nothing.
func (s *Service) Rest() time.Duration { return s.hub.rest() }

// forget makes everything that was read before nobody's answer.
func (s *Service) forget() {
	s.view.forget()
	s.standing.forget()
	s.spans.forget()
	s.cache.forget()
}

// Checks says what the page cannot do without. An evaluator or a notifier that is away is not among it: the page
// is what tells people so, and must not be taken away from them.
func (s *Service) Checks() []httpserver.Check {
	return []httpserver.Check{{Name: "database", Run: func(ctx context.Context) error {
		// The log has the reason; this text may be read by anybody.
		err := s.ping(ctx)
		switch kind := nodestore.TroubleOf(err); {
		case err == nil:
			return nil
		case kind == nodestore.None, kind == nodestore.Other:
			return errors.New("does not answer")
		default:
			return errors.New(kind.Says() + ": " + kind.Help())
		}
	}}}
}

func (s *Service) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	return s.Store.Ping(ctx)
}

// read asks the store for everything a viewer may want to see.
func (s *Service) read(ctx context.Context) (*snapshot, error) {
	start := s.Now()
	skew := s.measureSkew(ctx)
	snap, err := readSnapshot(forAll(ctx), s.Store, s.Partition, func() time.Time { return s.Now().Add(skew) }, s.before.Load())
	if err == nil {
		snap.skew = skew
		s.before.Store(snap)
	}
	s.metrics.query.Observe(s.Now().Sub(start).Seconds())
	if err != nil {
		err = fmt.Errorf("read nodes: %w", err)
	}
	s.note(err)
	return snap, err
}

// readStanding asks the store how the monitor itself stands.
func (s *Service) readStanding(ctx context.Context) (*standing, error) {
	at := standing{skew: s.measureSkew(ctx)}
	at.at = s.Now().Add(at.skew) // before the reading: what is said of the data's age is then never too good
	var err error
	if at.status, err = s.Store.Status(ctx, s.Partition); err != nil {
		err = fmt.Errorf("read the status: %w", err)
	}
	s.note(err)
	return &at, err
}

// clockKept is for how long a reading of the clock that stamps is counted on from, with this machine's monotonic clock.
const clockKept = 5 * time.Second

// measureSkew is how far the clock that stamps is ahead of this machine's: ages and staleness are differences to
// stamps. While NATS does not answer it goes on from where it was.
func (s *Service) measureSkew(ctx context.Context) time.Duration {
	if s.Clock == nil {
		return 0
	}
	s.mu.Lock()
	last := s.reading
	s.mu.Unlock()
	if now := s.Now(); last.good(now) {
		return last.skew(now)
	}
	ctx, cancel := context.WithTimeout(ctx, clockLimit)
	defer cancel()
	there, err := s.Clock(ctx, s.Partition)
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.reading = reading{there, now}
	}
	return s.reading.skew(now)
}

// reading is what the clock that stamps showed.
type reading struct{ there, here time.Time }

// good reports whether it need not be read again yet.
func (r reading) good(now time.Time) bool {
	age := now.Sub(r.here)
	return !r.here.IsZero() && age >= 0 && age < clockKept
}

// skew is how far that clock is ahead of this one, which may have been set since.
func (r reading) skew(now time.Time) time.Duration {
	if r.here.IsZero() {
		return 0
	}
	return r.there.Add(now.Sub(r.here)).Sub(now)
}

// note logs when the database goes and when it comes back, not every time in between.
func (s *Service) note(err error) {
	s.mu.Lock()
	was := s.broken
	s.broken = err
	s.mu.Unlock()
	switch {
	case err != nil && was == nil:
		s.metrics.database.Set(0)
		s.Log.Error().Err(err).Str("help", nodestore.TroubleOf(err).Help()).
			Msg("the database cannot be read; the page says so")
	case err == nil && was != nil:
		s.metrics.database.Set(1)
		s.Log.Info().Msg("the database can be read again")
	case err == nil:
		s.metrics.database.Set(1)
	}
}
