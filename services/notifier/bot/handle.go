package bot

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// handle does what an update asks for. Its error is one of the store, or of the lease.
func (s *Service) handle(ctx context.Context, h *holder, u telegram.Update) error {
	now := s.o.Now()
	c, ok, err := s.ours(ctx, u)
	if err != nil {
		return err
	}
	if !ok {
		return s.note(ctx, h, u)
	}
	f, p, err := s.decide(ctx, c, now)
	if err != nil {
		return err
	}
	if !h.Fresh() {
		return lease.ErrStale
	}
	if p, err = s.change(ctx, c, f, p); err != nil {
		return err
	}
	if err := s.note(ctx, h, u); err != nil {
		return err
	}
	s.o.Log.Info().Str("command", c.name).Str("target", c.target).Str("by", c.by).Str("chat", c.chat).Msg("command")
	s.answer(ctx, c, p)
	return nil
}

// note records that an update was handled. It goes on trying while the lease lasts, for an answer is owed.
func (s *Service) note(ctx context.Context, h *holder, u telegram.Update) error {
	for n := 0; ; n++ {
		err := h.renew(ctx, u.ID+1)
		if err == nil || errors.Is(err, nodestore.ErrFenced) || ctx.Err() != nil || !h.Fresh() {
			return err
		}
		sleep(ctx, s.backoff(n))
	}
}

// ours reads a command, if the update is one and comes from one of our chats, or from what one has become.
func (s *Service) ours(ctx context.Context, u telegram.Update) (command, bool, error) {
	c, ok := parse(u, s.me.Username)
	if !ok || c.allowed(s.o.Chats) {
		return c, ok, nil
	}
	leases, err := s.o.Store.ChatLeases(ctx)
	if err != nil {
		return c, false, err
	}
	for _, l := range leases {
		if l.MovedTo != "" && slices.Contains(s.o.Chats, l.Chat) && c.allowed([]string{l.MovedTo}) {
			return c, true, nil
		}
	}
	if len(s.foreign) < 100 && !s.foreign[c.chat] {
		s.foreign[c.chat] = true
		s.o.Log.Warn().Str("chat", c.chat).Str("by", c.by).
			Msg("a command came from a chat that is not in TELEGRAM_CHAT_ID or ROUTES: it is not answered")
	}
	return c, false, nil
}

// decide gathers and decides. An update at which this program panics must not hold up those behind it.
func (s *Service) decide(ctx context.Context, c command, now time.Time) (f facts, p plan, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.o.Log.Error().Interface("panic", v).Bytes("stack", debug.Stack()).Str("command", c.name).Msg("a command panicked")
			f, p, err = facts{}, plan{}, nil
		}
	}()
	if f, err = gather(ctx, s.o.Store, c, now); err != nil {
		return f, p, err
	}
	return f, s.answers.decide(c, f, now), nil
}

// change does what was decided. Each change is one that can be made again and is the same.
func (s *Service) change(ctx context.Context, c command, f facts, p plan) (plan, error) {
	if x := p.silence; x != nil && !added(f.silences, *x) {
		if _, err := s.o.Store.AddSilence(ctx, *x); err != nil {
			return p, err
		}
	}
	for _, id := range p.end {
		if err := s.o.Store.EndSilence(ctx, id, c.by); err != nil && !isNotFound(err) {
			return p, err
		}
	}
	if x := p.acknowledge; x != nil {
		first, err := s.o.Store.Acknowledge(ctx, x.NodeID, x.Incident, x.By)
		if err != nil {
			return p, err
		}
		if first.By != x.By {
			p.toast = s.answers.alreadyAcknowledged(first.By)
		}
	}
	return p, nil
}

// added reports whether a silence was added by the same command before.
func added(all []nodestore.Silence, x nodestore.Silence) bool {
	for _, s := range all {
		if s.Note == x.Note {
			return true
		}
	}
	return false
}

// answer says what was done. An answer that cannot be sent is logged, and not kept.
func (s *Service) answer(ctx context.Context, c command, p plan) {
	ctx, cancel := s.graced(ctx)
	defer cancel()
	if p.html != "" {
		s.insist(ctx, func() error {
			_, err := s.o.Client.SendMessage(ctx, telegram.Message{Chat: c.topic(), HTML: p.html, ReplyTo: c.message})
			return err
		})
	}
	if c.pressed != "" {
		s.insist(ctx, func() error { return s.o.Client.Answer(ctx, c.pressed, p.toast) })
	}
	if p.buttons {
		s.rearrange(ctx, c)
	}
}

// rearrange puts the buttons right, for everybody to see who does what.
func (s *Service) rearrange(ctx context.Context, c command) {
	now := s.o.Now()
	f, err := gather(ctx, s.o.Store, c, now)
	if err != nil || f.notification.ID == 0 {
		return
	}
	s.insist(ctx, func() error { return s.o.Client.EditButtons(ctx, c.chat, c.message, s.answers.buttons(f, now)) })
}

// graced is ctx, but its end leaves some time.
func (s *Service) graced(ctx context.Context) (context.Context, context.CancelFunc) {
	gctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		sleep(gctx, s.o.Timing.Grace)
		cancel()
	})
	return gctx, func() { stop(); cancel() }
}

// insist tries a few times, for as long as Telegram asks to wait, up to half a minute in all.
func (s *Service) insist(ctx context.Context, call func() error) {
	const attempts = 3
	left := 30 * time.Second
	for n := range attempts {
		err := call()
		if err == nil || ctx.Err() != nil {
			return
		}
		e, ok := errors.AsType[*telegram.Error](err)
		wait := s.backoff(n)
		if ok {
			wait = max(wait, e.RetryAfter)
		}
		if left -= wait; ok && e.Permanent || left < 0 || n == attempts-1 {
			s.o.Log.Warn().Err(err).Msg("a command could not be answered")
			return
		}
		sleep(ctx, wait)
	}
}
