// Package notifier tells people of committed events. What was told stands in the database, so that no alert is lost
// while Telegram, the database or the notifier itself is away, and none is told twice but after a crash in one
// place: between Telegram's acceptance and the note of it.
//
// Each chat has a worker of its own, and chats never wait for one another. A worker holds its chat's lease, freezes
// a notification and the alerts in it, sends it, and marks all of them as told in one update.
package notifier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/bot"
)

// Sender takes a message to a chat and returns the id that it got there. replyTo is the id of an earlier message, or
// 0. The error says what to do next when it has Retry, as *telegram.Error does; any other may be retried.
type Sender interface {
	Send(ctx context.Context, chat, html string, replyTo int64) (messageID int64, err error)
}

// FailureSender is a Sender that puts something under the message of one node's failure, such as buttons to acknowledge
// it. n is the notification; its Chat is where it goes.
type FailureSender interface {
	SendFailure(ctx context.Context, n nodestore.Notification) (messageID int64, err error)
}

// Mover is a Sender that notices when a chat has moved. MovedTo is where it went, "" for nowhere.
type Mover interface {
	MovedTo(chat string) string
}

// Options are what a notifier needs.
type Options struct {
	// ID names this notifier among others on the same database. A process that starts again under the same ID goes
	// on at once; under another it waits until it has seen the leases of its predecessor unchanged for long enough.
	ID     string
	Store  nodestore.Deliveries
	Sender Sender
	// Chats are the default chats, as Config.ChatIDs gives them: told of all that Routes send nowhere else, and of the
	// monitor itself.
	Chats  []string
	Routes Routes
	// Everything are chats that are told of all nodes and of the monitor, whatever the routes say.
	Everything []string
	// Renderers word what a chat is told, by its name; a chat without one gets HTML for Telegram.
	Renderers map[string]Renderer

	Reminders    Reminders // nil for never
	DailySummary TimeOfDay // in Location

	// Bot takes commands from people in Chats; nil for none. BotStore is where they read and change things.
	Bot      bot.Client
	BotStore bot.Store

	// Deadman is called while heartbeats come all the way through and alerts are told; nil for none.
	Deadman Caller

	Language  Language
	Location  *time.Location // nil for UTC
	PublicURL string         // of the page, "" for none

	Log     zerolog.Logger
	Metrics prometheus.Registerer // nil for none
	Tracer  *tracing.Tracer       // nil for none; set before Config.Apply makes the senders
	Timing  Timing
	Now     func() time.Time // nil for time.Now
	Random  func() float64   // from 0 to 1, spreads back-offs; nil for math/rand

	told []string // all chats
}

// Timing is how often and how long; zero fields take their default.
type Timing struct {
	Lease    time.Duration // of a chat (4 s), renewed and looked at every quarter of it
	Poll     time.Duration // between looks into the database when nobody wakes the service (2 s)
	Lookback time.Duration // a new chat hears of events found so long ago (15 min)
	Send     time.Duration // the longest one attempt may take (45 s)

	RetryFirst time.Duration // the first back-off (1 s), doubled each time
	RetryMost  time.Duration // the longest (5 min)
	Refused    time.Duration // between attempts that only a change outside can help (5 min)

	Gap       time.Duration // between two messages to one chat (1 s)
	PerMinute int           // messages to one chat (20)
	// After so many alerts (20) within a minute a chat's messages are further apart (15 s), so that they tell more.
	Busy    int
	BusyGap time.Duration

	Remind  time.Duration // between looks for nodes to be reminded of, each of which reads all nodes (1 min)
	Deadman time.Duration // between two calls of the deadman address (1 min)
	Untold  time.Duration // how long an alert may wait before the address is called no more (10 min)
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.Lease, 4*time.Second)
	def(&t.Poll, 2*time.Second)
	def(&t.Lookback, 15*time.Minute)
	def(&t.Send, 45*time.Second)
	def(&t.RetryFirst, time.Second)
	def(&t.RetryMost, 5*time.Minute)
	def(&t.Refused, 5*time.Minute)
	def(&t.Gap, time.Second)
	def(&t.BusyGap, 15*time.Second)
	def(&t.Remind, time.Minute)
	def(&t.Deadman, time.Minute)
	def(&t.Untold, 10*time.Minute)
	if t.Busy == 0 {
		t.Busy = 20
	}
	if t.PerMinute == 0 {
		t.PerMinute = 20
	}
	return t
}

// Service tells all chats.
type Service struct {
	chats   []*chat
	retirer *retirer
	deadman *deadman     // nil for none
	bot     *bot.Service // nil for none
	metrics *metrics
}

// New checks the options. Nothing is asked of the store or of Telegram before Run.
func New(o Options) (*Service, error) {
	switch {
	case o.ID == "":
		return nil, errors.New("notifier: no ID")
	case o.Store == nil || o.Sender == nil:
		return nil, errors.New("notifier: no store or no sender")
	case len(o.Chats)+len(o.Everything) == 0:
		return nil, errors.New("notifier: no chats")
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	o.Timing = o.Timing.withDefaults()
	o.Tracer = o.Tracer.For("notifier")
	s := &Service{metrics: newMetrics()}
	paces := make(map[string]*pace)
	o.told = slices.Concat(o.Chats, o.Routes.chats(), o.Everything)
	slices.Sort(o.told)
	o.told = slices.Compact(o.told)
	for _, name := range o.told {
		group := paceGroup(name)
		if paces[group] == nil {
			paces[group] = newPace(o.Timing.Gap, o.Timing.PerMinute)
		}
		s.chats = append(s.chats, newChat(name, o, paces[group], s.metrics))
	}
	s.retirer = newRetirer(o)
	if o.Deadman != nil {
		s.deadman = newDeadman(o, s.chats[0].status.leads)
	}
	if o.Bot != nil {
		var err error
		if s.bot, err = newBot(o); err != nil {
			return nil, fmt.Errorf("notifier: %w", err)
		}
	}
	if o.Metrics != nil {
		if err := s.register(o.Metrics); err != nil {
			return nil, fmt.Errorf("notifier: %w", err)
		}
	}
	return s, nil
}

func (s *Service) register(r prometheus.Registerer) error {
	if err := s.metrics.register(r, s.chats); err != nil || s.deadman == nil {
		return err
	}
	return s.deadman.register(r)
}

// Run tells until ctx ends. A message on its way then is finished first; all in all that takes 3.5 s at most.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, c := range s.chats {
		wg.Go(func() { c.run(ctx) })
	}
	wg.Go(func() { s.retirer.run(ctx) })
	if s.deadman != nil {
		wg.Go(func() { s.deadman.run(ctx) })
	}
	if s.bot != nil {
		wg.Go(func() { s.bot.Run(ctx) })
	}
	wg.Wait()
	return nil
}

// WakeAgain is how long after one Wake the next should come: many events are announced one by one, and one look finds all.
const WakeAgain = 25 * time.Millisecond

// Wake makes the service look for new events now. It never blocks.
func (s *Service) Wake() {
	for _, c := range s.chats {
		select {
		case c.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Checks say in words why telling fails, one for each chat.
func (s *Service) Checks() []httpserver.Check {
	checks := make([]httpserver.Check, len(s.chats))
	for i, c := range s.chats {
		checks[i] = httpserver.Check{Name: "telling", Run: func(context.Context) error { return c.status.problem(c.o.Now()) }}
	}
	return checks
}
