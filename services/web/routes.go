package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// contentSecurityPolicy lets a page load our own files and nothing else; nothing inline runs, whoever wrote it.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const nodesPath = "/api/nodes"

func (s *Service) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(harden, middleware.Compress(5))
	open := func(route string, h http.HandlerFunc) http.HandlerFunc { return s.metrics.measure(route, s.Now, h) }
	closed := func(route string, h http.HandlerFunc) http.HandlerFunc { return open(route, s.login(h)) }
	get := func(path, route string, h http.HandlerFunc) {
		r.Get(path, closed(route, h))
		r.Head(path, closed(route, h))
	}
	s.pageRoutes(get)
	s.apiRoutes(get)
	// A node id may hold any character, slashes too. The admin's token takes the place of the login.
	r.Delete(nodesPath+"/*", open("delete", s.deleteNode))
	r.NotFound(closed("other", func(w http.ResponseWriter, _ *http.Request) {
		detail(w, http.StatusNotFound, "Not Found")
	}))
	r.MethodNotAllowed(closed("other", func(w http.ResponseWriter, _ *http.Request) {
		detail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	}))
	return r
}

// harden sets what every answer carries.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// login asks for the user name and the password, if there are any.
func (s *Service) login(next http.HandlerFunc) http.HandlerFunc {
	if s.Username == "" {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		username, password, _ := r.BasicAuth()
		// Both are compared always: the time taken must not tell which of them was right.
		right := same(username, s.Username)
		if right = same(password, s.Password) && right; !right {
			w.Header().Set("WWW-Authenticate", `Basic realm="Gensyn Monitor", charset="UTF-8"`)
			detail(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		next(w, r)
	}
}

// same compares in a time that depends on neither content nor length.
func same(given string, want settings.Secret) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// bearer is the token of a request, "" for none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// detail is the shape of every error that a program reads.
func detail(w http.ResponseWriter, status int, text string) {
	answer(w, status, struct {
		Detail string `json:"detail"`
	}{text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
