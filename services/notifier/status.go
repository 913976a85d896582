package notifier

import (
	"fmt"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// patience is how long telling may fail for reasons that pass before readiness speaks of it.
const patience = 30 * time.Second

// status is how telling stands with one chat, as seen from this process.
type status struct {
	mu sync.Mutex
	facts
}

type facts struct {
	active  bool      // the lease is ours
	broken  error     // why nothing can be done at all: the store, or a fault of ours
	failing *failing  // since the last success
	oldest  time.Time // found time of the oldest alert that is being told; zero for none
	atLeast bool      // it may be older
}

type failing struct {
	since     time.Time
	words     string
	permanent bool
	class     string
}

func (s *status) set(f func(*facts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.facts)
}

// fail notes a failed attempt and reports whether it is news: the first in a row, or for another kind of reason.
// Words about connections differ each time.
func (s *status) fail(now time.Time, v verdict) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing == nil {
		s.failing = &failing{since: now}
	}
	f := s.failing
	news = f.class != v.class || v.permanent && f.words != v.words
	f.words, f.permanent, f.class = v.words, v.permanent, v.class
	return news
}

// problem says why people are not told, and how old the news is by now. A stand-by has none.
func (s *status) problem(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil && nodestore.TroubleOf(s.broken) != nodestore.Other:
		return fmt.Errorf("cannot tell: the database %w", nodestore.Explained{Err: s.broken})
	case s.broken != nil:
		return fmt.Errorf("cannot tell: %w", s.broken)
	case !s.active || s.failing == nil:
		return nil
	case !s.failing.permanent && now.Sub(s.failing.since) < patience:
		return nil
	}
	return fmt.Errorf("%s; the oldest untold alert is %s", s.failing.words, s.age(now))
}

func (f *facts) age(now time.Time) string {
	if f.oldest.IsZero() {
		return "of unknown age"
	}
	age := english.duration(now.Sub(f.oldest)) + " old"
	if f.atLeast {
		return "at least " + age
	}
	return age
}

// untold is the age of the oldest alert that is being told; 0 for none.
func (s *status) untold(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active || s.oldest.IsZero() {
		return 0
	}
	return max(now.Sub(s.oldest), 0)
}

// cannot reports whether nothing can be told at all.
func (s *status) cannot() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil
}

// leads reports whether the chat's lease is ours. Of several notifiers the one that leads the first chat calls the
// deadman address; when it dies another leads within seconds.
func (s *status) leads() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}
