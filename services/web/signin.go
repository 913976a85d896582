package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

const (
	signInPath    = "sign-in"
	sessionCookie = "gensyn_session"
	maxForm       = 64 << 10 // bytes
)

// signInData is what the page for signing in shows.
type signInData struct {
	accessFrame
	Next     string
	Name     string
	Password bool   // there is one to ask for
	Provider bool   // there is an OpenID provider
	Problem  string // why it did not work
}

// getSignIn shows the form.
func (s *Service) getSignIn(w http.ResponseWriter, r *http.Request) {
	if !s.signInPossible() {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	s.signInForm(w, r, http.StatusOK, r.URL.Query().Get("next"), "", "")
}

func (s *Service) signInForm(w http.ResponseWriter, r *http.Request, status int, next, name, problem string) {
	d := signInData{
		accessFrame: s.accessFrame(r, "", accessWordsFor(r).SignIn), Next: next, Name: name, Problem: problem,
		Password: s.Username != "", Provider: s.OIDC.Issuer != "",
	}
	s.accessPage(w, status, "signin.html", d)
}

// postSignIn checks user name and password, and begins a session.
func (s *Service) postSignIn(w http.ResponseWriter, r *http.Request) {
	if s.Username == "" {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	if !fromOurPage(r) {
		detail(w, http.StatusForbidden, "this request does not come from a page of the monitor")
		return
	}
	if !readForm(w, r) {
		return
	}
	next, name := r.PostForm.Get("next"), r.PostForm.Get("username")
	v := Viewer{Name: name, Via: viaPassword, Address: s.TrustedProxies.Of(r)}
	if no := s.tryPassword(r, v, r.PostForm.Get("password")); no != nil {
		words := accessWordsFor(r)
		problem := words.WrongPassword
		if no.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", retryAfter(no.wait))
			problem = words.TooMany
		}
		s.signInForm(w, r, no.status, next, name, problem)
		return
	}
	s.begin(w, r, nodestore.Session{Name: name, Via: viaPassword, Proof: s.password.Proof(name)}, next)
}

// getSignInBasic begins a session for a browser that has the password by itself, as of an address like
// https://ann:secret@nodes.example.org/sign-in/basic.
func (s *Service) getSignInBasic(w http.ResponseWriter, r *http.Request) {
	v, no := s.identify(r)
	if no == nil && v.Via != viaBasic {
		no = errNotSignedIn
	}
	switch {
	case s.Username == "":
		detail(w, http.StatusNotFound, "Not Found")
	case no == nil:
		s.begin(w, r, nodestore.Session{Name: v.Name, Via: viaPassword, Proof: s.password.Proof(v.Name)}, r.URL.Query().Get("next"))
	case no.status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="Gensyn Monitor", charset="UTF-8"`)
		detail(w, no.status, no.detail)
	default:
		s.turnAway(w, r, no)
	}
}

// begin stores a session, gives the browser its cookie, and sends it on.
func (s *Service) begin(w http.ResponseWriter, r *http.Request, x nodestore.Session, next string) {
	if s.Access == nil {
		unavailable(w, "sessions cannot be kept now")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	x.Address = s.TrustedProxies.Of(r).String()
	v := Viewer{Name: x.Name, Via: x.Via, Address: s.TrustedProxies.Of(r)}
	if _, err := s.Access.BeginAction(ctx, done(v.action("sign_in", "", ""))); err != nil {
		s.noSession(w, r, next, err)
		return
	}
	cookie, err := s.sessions().Start(ctx, x)
	if err != nil {
		s.noSession(w, r, next, err)
		return
	}
	if old, err := r.Cookie(sessionCookie); err == nil {
		_ = s.sessions().End(ctx, old.Value) // it runs out by itself else
	}
	s.setCookie(w, r, sessionCookie, cookie, int(access.SessionLife.Seconds()))
	seeOther(w, r, next)
}

func (s *Service) noSession(w http.ResponseWriter, r *http.Request, next string, err error) {
	s.note(err)
	w.Header().Set("Retry-After", "2")
	s.signInForm(w, r, http.StatusServiceUnavailable, next, "", accessWordsFor(r).NoDatabase)
}

// postSignOut ends the session, here and everywhere.
func (s *Service) postSignOut(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(sessionCookie)
	if err != nil || s.Access == nil {
		seeOther(w, r, "")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	if v, no := s.identifyByCookie(r); no == nil && v.SignedIn {
		v.Address = s.TrustedProxies.Of(r)
		_, err = s.Access.BeginAction(ctx, done(v.action("sign_out", "", "")))
		s.note(err)
	}
	if err := s.sessions().End(ctx, c.Value); err != nil {
		// The cookie stays, so that signing out can be tried again: the session is not over.
		s.note(err)
		unavailable(w, "the database does not answer: you are still signed in; try again")
		return
	}
	s.setCookie(w, r, sessionCookie, "", -1)
	seeOther(w, r, "")
}

// setCookie sets a cookie that scripts cannot read, that other sites' forms do not send, and that goes over HTTPS
// alone where the page does.
func (s *Service) setCookie(w http.ResponseWriter, r *http.Request, name, value string, seconds int) {
	public, _ := url.Parse(s.PublicURL)
	path := "/"
	if public != nil {
		path = cmp.Or(public.Path, "/")
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: s.TrustedProxies.HTTPS(r) || public != nil && public.Scheme == "https",
	})
}

// readForm reads the fields of a form. It answers and returns false when there is none.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		detail(w, http.StatusBadRequest, "the form cannot be read")
		return false
	}
	for _, values := range r.PostForm {
		for i := range values {
			values[i] = strings.ToValidUTF8(values[i], "")
		}
	}
	return true
}
