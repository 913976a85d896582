package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// How a viewer proved who they are. The words stand in sessions and in the audit log.
const (
	viaPassword = "password" // the form, or the browser's own question
	viaOIDC     = "oidc"
	viaBasic    = "basic" // user name and password with every request
	viaToken    = "token" // ADMIN_TOKEN
	viaOpen     = "open"  // nothing is asked for here
	viaPublic   = "public"
)

// adminName is who acts with ADMIN_TOKEN.
const adminName = "ADMIN_TOKEN"

// Viewer is who sent a request.
type Viewer struct {
	Name     string // "" unless SignedIn
	SignedIn bool   // may act
	Via      string
	Address  netip.Addr // where the request came from
	// Addresses says that they may see addresses of nodes, and what else names them.
	Addresses bool
}

type viewerKey struct{}

// viewer is who sent the request. It is known in handlers within viewing and acting.
func viewer(r *http.Request) Viewer {
	v, _ := r.Context().Value(viewerKey{}).(Viewer)
	return v
}

// show returns the node as the viewer may see it.
func (v Viewer) show(n *node.Node) *node.Node {
	if v.Addresses {
		return n
	}
	shown := *n
	shown.IP, shown.Senders = "", ""
	shown.Meta, shown.Evidence, shown.Reason = hideAddresses(n.Meta), hideAddresses(n.Evidence), hideAddresses(n.Reason)
	shown.Metrics, shown.Workload = "", ""
	return &shown
}

// refusal is why a request is not served.
type refusal struct {
	status int
	detail string
	wait   time.Duration // 0 for no advice
}

var errNotSignedIn = &refusal{status: http.StatusUnauthorized, detail: "Unauthorized"}

// signInPossible reports whether people can sign in here.
func (s *Service) signInPossible() bool { return s.Username != "" || s.OIDC.Issuer != "" }

// identify finds out who sent a request.
func (s *Service) identify(r *http.Request) (Viewer, *refusal) {
	from := s.TrustedProxies.Of(r)
	v, no := s.identifyByHeader(r, from)
	if no == nil && v.Via == "" {
		v, no = s.identifyByCookie(r)
	}
	if no != nil {
		return Viewer{}, no
	}
	v.Address, v.Addresses = from, true
	switch {
	case v.SignedIn:
	case s.PublicView:
		v.Via, v.Addresses = viaPublic, false
	case !s.signInPossible():
		v.Via = viaOpen
	default:
		return Viewer{}, errNotSignedIn
	}
	return v, nil
}

// identifyByHeader looks at Authorization. Via is "" when it says nothing that is asked for here.
func (s *Service) identifyByHeader(r *http.Request, from netip.Addr) (Viewer, *refusal) {
	if token := bearer(r); token != "" && s.AdminToken != "" {
		v := Viewer{Name: adminName, SignedIn: true, Via: viaToken, Address: from}
		return v, s.attempt(r, v, wrongToken, "token\x00"+token, func() bool { return access.Same(token, s.AdminToken) })
	}
	username, password, given := r.BasicAuth()
	if !given || s.Username == "" {
		return Viewer{}, nil
	}
	v := Viewer{Name: username, SignedIn: true, Via: viaBasic, Address: from}
	return v, s.tryPassword(r, v, password)
}

// tryPassword says why the viewer's name and the password are not the configured ones, or nil.
func (s *Service) tryPassword(r *http.Request, v Viewer, password string) *refusal {
	return s.attempt(r, v, wrongPassword, "password\x00"+v.Name+"\x00"+password, func() bool {
		// Both are compared always: the time taken must not tell which of them was right.
		right := access.Same(v.Name, s.Username)
		return s.password.Matches(password) && right
	})
}

// identifyByCookie looks for a session. One that cannot be looked for is not taken for none: who is signed in would
// be sent to sign in again.
func (s *Service) identifyByCookie(r *http.Request) (Viewer, *refusal) {
	c, err := r.Cookie(sessionCookie)
	if err != nil || s.Access == nil || !s.signInPossible() {
		return Viewer{}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	found, err := s.sessions().Find(ctx, c.Value)
	switch {
	case errors.Is(err, nodestore.ErrNotFound):
		return Viewer{}, nil
	case err != nil:
		if r.Context().Err() == nil { // else nobody waits for it any more, and the database may be well
			s.note(err)
		}
		return Viewer{}, &refusal{status: http.StatusServiceUnavailable, wait: 2 * time.Second, detail: "the database does not answer"}
	case !s.stillGood(found):
		return Viewer{}, nil
	}
	return Viewer{Name: found.Name, SignedIn: true, Via: found.Via}, nil
}

// stillGood reports whether who signed in then could do so now: the configuration may have changed since.
func (s *Service) stillGood(x nodestore.Session) bool {
	switch x.Via {
	case viaPassword:
		return s.Username != "" && x.Name == s.Username.Reveal() && x.Proof == s.password.Proof(x.Name)
	case viaOIDC:
		return s.OIDC.Issuer != "" && x.Proof == s.OIDC.Issuer && s.OIDC.Allowed.Has(x.Name)
	}
	return false
}

func (s *Service) sessions() access.Sessions { return access.Sessions{Store: s.Access, Now: s.Now} }

// viewing serves those who may look: everybody, when nothing is asked for here or with PUBLIC_VIEW; else who is
// signed in.
func (s *Service) viewing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, no := s.identify(r)
		if no != nil {
			s.turnAway(w, r, no)
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), viewerKey{}, v)))
	}
}

// acting serves those who are signed in, and ADMIN_TOKEN. Where nobody can be, there is nothing.
func (s *Service) acting(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.AdminToken == "" && !s.signInPossible() {
			detail(w, http.StatusNotFound, "Not Found")
			return
		}
		s.viewing(func(w http.ResponseWriter, r *http.Request) {
			v := viewer(r)
			switch {
			case !v.SignedIn:
				s.turnAway(w, r, errNotSignedIn)
			case !safeMethod(r) && (v.Via == viaPassword || v.Via == viaOIDC) && !fromOurPage(r):
				detail(w, http.StatusForbidden, "this request does not come from a page of the monitor")
			default:
				next(w, r)
			}
		})(w, r)
	}
}

func safeMethod(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// fromOurPage reports whether the browser says where the request comes from. That it comes from here was checked
// before, for every request that says it (http.CrossOriginProtection). Programs say nothing, and have no cookie.
func fromOurPage(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// crossOrigin refuses what another site makes a browser send: such requests carry the cookie, or the password that the
// browser keeps. Browsers say where a request comes from in Sec-Fetch-Site, and where they do not (plain HTTP) in
// Origin; no token in each form is needed, and a page that was open for days still works.
func (s *Service) crossOrigin() (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		detail(w, http.StatusForbidden, "this request comes from another site")
	}))
	if s.PublicURL == "" {
		return p, nil
	}
	// Proxies may change Host.
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return nil, err
	}
	return p, p.AddTrustedOrigin(u.Scheme + "://" + u.Host)
}

// turnAway answers who is not served. People are sent to sign in; programs get the status.
func (s *Service) turnAway(w http.ResponseWriter, r *http.Request, no *refusal) {
	if no.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(no.wait.Seconds()))))
	}
	if no.status != http.StatusUnauthorized {
		detail(w, no.status, no.detail)
		return
	}
	if s.signInPossible() && wantsPage(r) && safeMethod(r) && r.Header.Get("Authorization") == "" {
		w.Header().Set("Vary", "Accept, Authorization, Cookie")
		s.chooseLanguage(w, r)
		seeOther(w, r, signInPath+"?"+url.Values{"next": {here(r)}}.Encode())
		return
	}
	s.challenge(w, r)
	detail(w, no.status, no.detail)
}

// challenge says how to prove who one is. A browser would ask people for the password by itself, so scripts of the
// page are not challenged: they come from a page whose session is over.
func (s *Service) challenge(w http.ResponseWriter, r *http.Request) {
	mode := r.Header.Get("Sec-Fetch-Mode")
	script := mode != "" && mode != "navigate" || r.Header.Get("HX-Request") != "" || r.Header.Get("X-Requested-With") != "" ||
		strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if s.Username != "" && !script {
		w.Header().Add("WWW-Authenticate", `Basic realm="Gensyn Monitor", charset="UTF-8"`)
	}
	if s.AdminToken != "" {
		w.Header().Add("WWW-Authenticate", "Bearer")
	}
}

// wantsPage reports whether somebody looks at the answer in a browser.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// here is the address of the request, from the root of the page on and without a slash before it.
func here(r *http.Request) string {
	path := strings.TrimLeft(r.URL.EscapedPath(), "/")
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return path
}

// seeOther sends the browser to an address from the root of the page on. It is told relative to the one it asked
// for, since the page may stand below a path; so it can never leave this site.
func seeOther(w http.ResponseWriter, r *http.Request, target string) {
	w.Header().Set("Location", root(r)+strings.TrimLeft(target, "/\\"))
	w.WriteHeader(http.StatusSeeOther)
}
