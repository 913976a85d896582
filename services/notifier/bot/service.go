// Package bot answers commands that people send to the bot, and the buttons under its messages.
//
// What a command means is decided by pure functions of the update and of what was read (parse, answerer.decide);
// everything else is here. One program at a time asks Telegram for a bot's updates, under a lease. A command's changes
// are made first, and each only once whatever happens; then the store notes that the update was handled; then comes
// the answer. So no command is run twice, and one that was not noted is run again.
package bot

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// Store is what the bot reads, changes, and holds its lease in.
type Store interface {
	Reads
	nodestore.Pollers
	AddSilence(ctx context.Context, s nodestore.Silence) (nodestore.Silence, error)
	EndSilence(ctx context.Context, id int64, by string) error
	Acknowledge(ctx context.Context, nodeID string, incident node.Stamp, by string) (nodestore.Acknowledgement, error)
}

// Client is Telegram.
type Client interface {
	Me(ctx context.Context) (telegram.User, error)
	Updates(ctx context.Context, offset int64, wait time.Duration) ([]telegram.Update, error)
	SendMessage(ctx context.Context, m telegram.Message) (int64, error)
	Answer(ctx context.Context, pressed, text string) error
	EditButtons(ctx context.Context, chat string, message int64, buttons [][]telegram.Button) error
}

// Options are what the bot needs.
type Options struct {
	ID       string // names this program among others on the same database
	Store    Store
	Client   Client
	Chats    []string // where commands are taken from: "chat" or "chat:topic"
	Language string   // "en" or "ru"
	Format   Format
	Page     string // address of the page, "" for none

	Log    zerolog.Logger
	Now    func() time.Time // nil for time.Now
	Timing Timing
}

// Timing is how often and how long; zero fields take their default.
type Timing struct {
	Lease      time.Duration // 10 s, renewed and looked at every quarter of it
	Wait       time.Duration // how long Telegram waits for an update (25 s), whole seconds
	RetryFirst time.Duration // the first back-off (1 s), doubled each time
	RetryMost  time.Duration // the longest (1 min)
	Conflict   time.Duration // between attempts while another program asks for the updates (1 min)
	Grace      time.Duration // for what must not be cut off when the service stops (2 s)
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.Lease, 10*time.Second)
	def(&t.Wait, 25*time.Second)
	def(&t.RetryFirst, time.Second)
	def(&t.RetryMost, time.Minute)
	def(&t.Conflict, time.Minute)
	def(&t.Grace, 2*time.Second)
	return t
}

// Service answers one bot's commands.
type Service struct {
	o       Options
	answers answerer
	me      telegram.User // zero until Telegram said it
	seen    lease.Sight[nodestore.PollerLease]
	said    string          // the trouble that was logged last, "" for none
	foreign map[string]bool // chats that are not ours and were logged
}

// New makes a service. Nothing is asked of the store or of Telegram before Run.
func New(o Options) (*Service, error) {
	w := catalogue[o.Language]
	switch {
	case o.ID == "" || o.Store == nil || o.Client == nil:
		return nil, errors.New("bot: no ID, no store or no client")
	case w == nil:
		return nil, errors.New("bot: language " + strconv.Quote(o.Language) + " is not known")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Timing = o.Timing.withDefaults()
	return &Service{
		o: o, answers: answerer{words: w, Format: o.Format, page: o.Page}, foreign: make(map[string]bool),
	}, nil
}

// Run answers until ctx ends.
func (s *Service) Run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		wait := s.o.Timing.Lease / lease.Beats
		switch err := s.tenure(ctx); {
		case err == nil, errors.Is(err, nodestore.ErrHeld), errors.Is(err, nodestore.ErrFenced):
			failures = 0
		case errors.Is(err, lease.ErrStale):
			failures, wait = 0, 0 // it may still be ours
		default:
			s.trouble(ctx, err, "cannot take commands: trying again until it works")
			wait = s.backoff(failures)
			failures++
		}
		sleep(ctx, wait)
	}
}

// tenure lasts from taking the lease to its loss, or to the end of ctx (nil then).
func (s *Service) tenure(ctx context.Context) error {
	if s.me.ID == 0 {
		me, err := s.o.Client.Me(ctx)
		if err != nil {
			return err
		}
		s.me = me
	}
	began := s.o.Now()
	l, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	tctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	h := &holder{Hold: lease.Hold{TTL: s.o.Timing.Lease, Now: s.o.Now}, store: s.o.Store, lease: l, next: l.Next}
	h.Renewed(began)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		h.keep(tctx, lose)
	}()
	err = s.poll(tctx, h)
	lost := context.Cause(tctx)
	lose(nil)
	<-kept
	if ctx.Err() == nil && lost != nil {
		return lost
	}
	if !errors.Is(err, nodestore.ErrFenced) && !errors.Is(err, lease.ErrStale) {
		s.release(ctx, l)
	}
	return err
}

// acquire takes the lease when it is free, or when its owner has not been seen to renew it for long enough.
func (s *Service) acquire(ctx context.Context) (nodestore.PollerLease, error) {
	ttl := s.o.Timing.Lease
	actx, cancel := context.WithTimeout(ctx, ttl)
	defer cancel()
	l, err := s.o.Store.AcquirePoller(actx, s.key(), s.o.ID, ttl)
	if !errors.Is(err, nodestore.ErrHeld) || !s.seen.Look(l, s.o.Now(), ttl) {
		return l, err
	}
	s.o.Log.Warn().Str("owner", l.Owner).Msg("the program that took the bot's commands is gone: taking over")
	return s.o.Store.TakeOverPoller(actx, l, s.o.ID, ttl)
}

// key names the bot in the store: programs with different bots do not wait for one another.
func (s *Service) key() string { return strconv.FormatInt(s.me.ID, 10) }

// release lets a stand-by go on at once. When it fails, the lease runs out by itself.
func (s *Service) release(ctx context.Context, l nodestore.PollerLease) {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timing.Grace/4)
	defer cancel()
	_ = s.o.Store.ReleasePoller(rctx, l)
}

// poll takes updates until ctx ends, or the store fails. That Telegram fails is no reason to give the lease up.
func (s *Service) poll(ctx context.Context, h *holder) error {
	failures := 0
	for ctx.Err() == nil {
		updates, err := s.o.Client.Updates(ctx, h.at(), s.o.Timing.Wait)
		if err != nil {
			wait, err := s.refused(ctx, h, err, failures)
			if err != nil {
				return err
			}
			failures++
			sleep(ctx, wait)
			continue
		}
		failures = 0
		s.well()
		for _, u := range updates {
			if u.ID < h.at() {
				continue
			}
			if err := s.handle(ctx, h, u); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused says how long to wait after getUpdates failed. A conflict may come from the program that took over from this
// one, which the lease tells.
func (s *Service) refused(ctx context.Context, h *holder, err error, failures int) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, nil
	}
	conflict := telegram.IsFault(err, telegram.Conflict)
	if conflict {
		if err := h.renew(ctx, 0); err != nil {
			return 0, err
		}
	}
	s.trouble(ctx, err, "cannot take commands: trying again until it works")
	e, ok := errors.AsType[*telegram.Error](err)
	switch {
	case conflict || ok && e.Permanent:
		return s.o.Timing.Conflict, nil
	case ok && e.RetryAfter > 0:
		return e.RetryAfter, nil
	}
	return s.backoff(failures), nil
}

// trouble logs what goes wrong, once.
func (s *Service) trouble(ctx context.Context, err error, what string) {
	if ctx.Err() != nil || s.said == err.Error() {
		return
	}
	s.said = err.Error()
	s.o.Log.Warn().Err(err).Msg(what)
}

func (s *Service) well() {
	if s.said != "" {
		s.said = ""
		s.o.Log.Info().Msg("taking commands again")
	}
}

func (s *Service) backoff(failures int) time.Duration {
	return min(s.o.Timing.RetryFirst<<min(failures, 20), s.o.Timing.RetryMost)
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
