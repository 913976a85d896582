package notifier

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
)

// How long a message on its way, the note of it, and giving the lease back may take when the service stops. Cut off
// sooner, the message might be told twice.
const (
	sendGrace    = 2 * time.Second
	noteGrace    = time.Second
	releaseGrace = 500 * time.Millisecond
)

// chat is the worker of one chat.
type chat struct {
	name string
	o    Options
	audience
	render  Renderer
	load    burdens
	pace    *pace
	wake    chan struct{}
	log     zerolog.Logger
	metrics *metrics
	status  status

	seen lease.Sight[nodestore.ChatLease] // of the lease that another holds

	// accepted is what Telegram took last. It stays true when the lease is lost, and when the database loses the note.
	accepted *accepted
	// unsent is a notification of which every attempt certainly failed: it may still become another message.
	unsent unsent
	thawed bool  // it was taken back, and what it was to tell will be in the next one
	term   int64 // of the last tenure that knew the chat's pace

	doubled bool // it was said that the chat has become another one
	// What is known of the notification at hand; it outlives a tenure, so that a fault of the database does not
	// make Telegram be asked sooner than it wished.
	failures int       // attempts that failed in a row
	next     time.Time // no attempt before
	oldest   time.Time // found time of its oldest alert; zero when another process froze it
	frozen   frozen

	// pressing: a failure was collected that is in no notification yet, as far as this process can know; monitor: so was
	// an event of the monitor itself, which waits for nothing.
	pressing, monitor bool
}

// frozen is a notification that this process froze, and of how many nodes it tells that they are failing.
type frozen struct {
	notification int64
	failures     int
}

// failuresIn a notification. One that another process froze may tell of nothing else.
func (c *chat) failuresIn(n *nodestore.Notification) int {
	if c.frozen.notification == n.ID {
		return c.frozen.failures
	}
	return n.Alerts
}

// unsent is a notification and how many attempts at it have certainly reached nobody.
type unsent struct {
	notification int64
	attempts     int
}

// certain reports whether none of the attempts at a notification can have been accepted.
func (u unsent) certain(n *nodestore.Notification) bool {
	return u.notification == n.ID && u.attempts == n.Attempts
}

type accepted struct {
	notification, message int64
	text                  string // a database that lost its last commits may give the number once more
	noted                 bool   // the store said that it knows
}

func (a *accepted) is(n *nodestore.Notification) bool {
	return n != nil && n.ID == a.notification && n.Text == a.text
}

func newChat(name string, o Options, p *pace, m *metrics) *chat {
	render := o.Renderers[name]
	if render == nil {
		render = (&renderer{catalogue: catalogueOf(o.Language), loc: o.Location, publicURL: o.PublicURL}).html
	}
	return &chat{
		name: name, o: o, pace: p, metrics: m, render: render,
		audience: audience{
			chat: name, routes: o.Routes, def: slices.Contains(o.Chats, name), everything: slices.Contains(o.Everything, name),
		},
		load: burdens{busy: o.Timing.Busy, gap: o.Timing.BusyGap},
		wake: make(chan struct{}, 1),
		log:  o.Log.With().Str("chat", name).Logger(),
	}
}

// run is a stand-by until it gets the lease, tells until it loses it, and begins again.
func (c *chat) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		wait := c.o.Timing.Poll
		switch err := c.tenure(ctx); {
		case err == nil:
			failures = 0
		case errors.Is(err, errDouble):
			failures, wait = 0, c.o.Timing.Refused
			c.can()
		case errors.Is(err, nodestore.ErrHeld):
			failures, wait = 0, c.o.Timing.Lease/lease.Beats
			c.can()
		case errors.Is(err, lease.ErrStale):
			failures, wait = 0, 0 // it may still be ours
		case errors.Is(err, nodestore.ErrFenced):
			failures, wait = 0, c.o.Timing.Lease/lease.Beats
			c.log.Warn().Msg("another notifier tells this chat now: standing by")
		default:
			if c.cannot(ctx, err) {
				failures = 0
			}
			wait = c.backoff(failures)
			failures++
		}
		sleep(ctx, wait)
	}
}

// tenure lasts from taking the lease to its loss, or to the end of ctx (nil then).
func (c *chat) tenure(ctx context.Context) error {
	began := c.o.Now()
	l, err := c.acquire(ctx)
	if err != nil {
		return err
	}
	crashpoint.Here("notifier.acquired")
	if c.double(l) {
		return c.standDown(ctx, l)
	}
	alone := c.term > 0 && l.Term == c.term+1
	if !alone {
		c.unsent = unsent{} // whoever told the chat since may have sent it
		c.pressing = true   // or may have collected a failure
	}
	c.monitor = true // the database may have lost that it was told
	c.status.set(func(s *facts) { s.active = true })
	defer c.status.set(func(s *facts) { s.active = false })
	c.log.Debug().Int64("term", l.Term).Msg("telling this chat")

	tctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	held := &lease.Hold{TTL: c.o.Timing.Lease, Now: c.o.Now}
	held.Renewed(began)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		held.Keep(tctx, func(ctx context.Context) error { return c.renew(ctx, held, l) }, lose)
	}()
	err = c.guard(func() error { return (&teller{chat: c, lease: l, fresh: held.Fresh, alone: alone}).tell(tctx) })
	lost := context.Cause(tctx)
	lose(nil)
	<-kept
	if ctx.Err() == nil && lost != nil {
		return lost
	}
	if !errors.Is(err, nodestore.ErrFenced) && !errors.Is(err, lease.ErrStale) {
		c.release(ctx, l)
	}
	return err
}

func (c *chat) renew(ctx context.Context, held *lease.Hold, l nodestore.ChatLease) error {
	err := held.Renew(ctx, func(ctx context.Context) error { return c.o.Store.RenewChat(ctx, l, c.o.Timing.Lease) })
	if err == nil {
		crashpoint.Here("notifier.renewed")
	}
	return err
}

// errDouble means that the chat has become another one that is told the same.
var errDouble = errors.New("the chat has become another one, which is told, too")

// double reports whether the chat has become another default chat: people put the group's new id into the configuration
// and left the old one there. A chat that a route leads to is told other things.
func (c *chat) double(l nodestore.ChatLease) bool {
	return l.MovedTo != "" && c.def && slices.Contains(c.o.Chats, l.MovedTo) && !slices.Contains(c.o.Routes.chats(), c.name)
}

// standDown leaves telling to the other chat, and lets nothing count as waiting for this one.
func (c *chat) standDown(ctx context.Context, l nodestore.ChatLease) error {
	if !c.doubled {
		c.doubled = true
		c.log.Warn().Str("new_chat", l.MovedTo).Msg("this group has become another chat that is told, too: take its old id out of TELEGRAM_CHAT_ID")
	}
	c.release(ctx, l)
	l.Renewed = 0 // released
	rctx, cancel := context.WithTimeout(ctx, c.o.Timing.Lease)
	defer cancel()
	if err := c.o.Store.RetireChat(rctx, l); err != nil && !errors.Is(err, nodestore.ErrHeld) {
		return err
	}
	return errDouble
}

// acquire takes the lease when it is free, or when its owner has not been seen to renew it for long enough.
func (c *chat) acquire(ctx context.Context) (nodestore.ChatLease, error) {
	ttl := c.o.Timing.Lease
	actx, cancel := context.WithTimeout(ctx, ttl)
	defer cancel()
	l, err := c.o.Store.AcquireChat(actx, c.name, c.o.ID, ttl, c.o.Timing.Lookback)
	if !errors.Is(err, nodestore.ErrHeld) || !c.seen.Look(l, c.o.Now(), ttl) {
		return l, err
	}
	c.log.Warn().Str("owner", l.Owner).Msg("the notifier that told this chat is gone: taking over")
	return c.o.Store.TakeOverChat(actx, l, c.o.ID, ttl)
}

// release lets a stand-by go on at once. When it fails, the lease runs out by itself.
func (c *chat) release(ctx context.Context, l nodestore.ChatLease) {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseGrace)
	defer cancel()
	_ = c.o.Store.ReleaseChat(rctx, l)
}

// errPanicked stands for a worker that panicked: a fault of this program, which must not take the others with it.
var errPanicked = errors.New("telling panicked")

func (c *chat) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("telling panicked: starting again")
			err = errPanicked
		}
	}()
	return f()
}

// cannot logs the first of a row of failures, and reports whether this is it.
func (c *chat) cannot(ctx context.Context, err error) (first bool) {
	if ctx.Err() != nil {
		return false
	}
	c.status.set(func(s *facts) { first, s.broken = s.broken == nil, err })
	if first {
		c.log.Error().Err(err).Str("help", nodestore.TroubleOf(err).Help()).Msg("cannot tell: trying again until it works")
	}
	return first
}

// can ends a row of failures.
func (c *chat) can() {
	again := false
	c.status.set(func(s *facts) { again, s.broken = s.broken != nil, nil })
	if again {
		c.log.Info().Msg("telling works again")
	}
}

func (c *chat) backoff(failures int) time.Duration {
	return backoff(c.o.Timing.RetryFirst, min(c.o.Timing.RetryMost, 30*time.Second), failures, c.o.Random())
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
