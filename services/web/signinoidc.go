package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

const (
	oidcPath       = "/" + signInPath + "/oidc"
	questionCookie = "gensyn_sign_in"
	questionLife   = 10 * 60 // seconds
	maxNext        = 1000    // bytes: cookies have limits
	maxWhy         = 300     // bytes
)

// getSignInOIDC sends the browser to the OpenID provider.
func (s *Service) getSignInOIDC(w http.ResponseWriter, r *http.Request) {
	if s.provider == nil {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	next := r.URL.Query().Get("next")
	if len(next) > maxNext {
		next = ""
	}
	address, question, err := s.provider.Ask(r.Context(), next)
	if err != nil {
		s.Log.Error().Err(err).Msg("people cannot sign in with the OpenID provider")
		w.Header().Set("Retry-After", "10")
		s.signInForm(w, r, http.StatusServiceUnavailable, next, "", accessWordsFor(r).NoProvider)
		return
	}
	s.setCookie(w, r, questionCookie, question.Encode(), questionLife)
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// getAnswer takes what the provider says of somebody, and begins a session.
func (s *Service) getAnswer(w http.ResponseWriter, r *http.Request) {
	if s.provider == nil {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	var question access.Question
	c, err := r.Cookie(questionCookie)
	if err == nil {
		question, err = access.DecodeQuestion(c.Value)
	}
	words, from := accessWordsFor(r), s.TrustedProxies.Of(r)
	// Answers are limited like passwords: each costs the provider a question, which it may grow tired of.
	wait, leave := s.gate.Enter(from)
	if wait > 0 {
		w.Header().Set("Retry-After", retryAfter(wait))
		s.signInForm(w, r, http.StatusTooManyRequests, question.Next, "", words.TooMany)
		return
	}
	var email string
	if err == nil {
		s.setCookie(w, r, questionCookie, "", -1)
		email, err = s.provider.Answered(r.Context(), question, r.URL.Query())
	}
	leave(err == nil)
	switch {
	case err == nil:
		s.begin(w, r, nodestore.Session{Name: email, Via: viaOIDC, Proof: s.OIDC.Issuer}, question.Next)
	case errors.Is(err, access.ErrDenied):
		s.notSignedIn(r.Context(), Viewer{Via: viaOIDC, Address: from}, first(err.Error(), maxWhy))
		s.signInForm(w, r, http.StatusForbidden, question.Next, "", words.Denied)
	case errors.Is(err, access.ErrStranger), errors.Is(err, http.ErrNoCookie):
		s.signInForm(w, r, http.StatusBadRequest, question.Next, "", words.TryAgain)
	default:
		s.Log.Error().Err(err).Msg("people cannot sign in with the OpenID provider")
		s.signInForm(w, r, http.StatusBadGateway, question.Next, "", words.NoProvider)
	}
}

// newProvider makes the OpenID provider, nil for none.
func newProvider(o Options) *access.Provider {
	if o.OIDC.Issuer == "" {
		return nil
	}
	return access.NewProvider(o.OIDC, strings.TrimRight(o.PublicURL, "/")+oidcPath+"/callback")
}

// first is the beginning of a text, at most so many bytes of it.
func first(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
