package web

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/limiter"
)

// Failed attempts to sign in stand in the audit log, but strangers must not fill it: so many at once, then one each so
// often, of all addresses together. Of what is left out the next one says how many there were.
const (
	attemptsAtOnce = 20
	attemptsEach   = 5 * time.Minute
	attemptLimit   = time.Second // for recording one
)

// Why an attempt failed, as the audit log keeps it.
const (
	wrongPassword = "the user name or the password is wrong"
	wrongToken    = "the token is wrong"
)

// attempts decides which failed attempts are recorded.
type attempts struct {
	limit *limiter.Limiter[struct{}]

	mu      sync.Mutex
	leftOut int
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{limit: limiter.New[struct{}](attemptsAtOnce, attemptsEach, 0, now)}
}

// record reports whether an attempt is to be recorded, and how many were left out since the last one.
func (a *attempts) record() (ok bool, leftOut int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit.Take(struct{}{}) > 0 {
		a.leftOut++
		return false, 0
	}
	leftOut, a.leftOut = a.leftOut, 0
	return true, leftOut
}

// giveBack is for one that could not be recorded.
func (a *attempts) giveBack(leftOut int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit.GiveBack(struct{}{})
	a.leftOut += leftOut + 1
}

// notSignedIn records that v could not sign in. v.Name is "" unless it is known to be a name: people type passwords into the
// field for names.
func (s *Service) notSignedIn(ctx context.Context, v Viewer, why string) {
	s.failures.Warn().Stringer("address", v.Address).Str("via", v.Via).Str("why", why).Msg("a failed attempt to sign in")
	if s.Access == nil {
		return
	}
	ok, leftOut := s.attempts.record()
	if !ok {
		return
	}
	text := ""
	if leftOut > 0 {
		text = fmt.Sprintf("%d more failed before and are not listed", leftOut)
	}
	// Who tried may leave at once: that must not hide it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptLimit)
	defer cancel()
	a := v.action("sign_in", "", text)
	a.Outcome = outcomeFailed + why
	if _, err := s.Access.BeginAction(ctx, a); err != nil {
		s.attempts.giveBack(leftOut)
		s.note(err)
	}
}

// attempt says why a credential is not right, or nil when it is.
func (s *Service) attempt(r *http.Request, v Viewer, why, credential string, right func() bool) *refusal {
	ok, wait := s.gate.Try(v.Address, credential, right)
	switch {
	case ok:
		return nil
	case wait > 0:
		return &refusal{status: http.StatusTooManyRequests, wait: wait, detail: "too many failed attempts to sign in"}
	}
	if v.Name != adminName && v.Name != s.Username.Reveal() {
		v.Name = ""
	}
	s.notSignedIn(r.Context(), v, why)
	return errNotSignedIn
}
