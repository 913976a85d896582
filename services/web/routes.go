package web

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// contentSecurityPolicy lets a page load our own files and nothing else; nothing inline runs, whoever wrote it.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const nodesPath = "/api/nodes"

func (s *Service) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(harden, s.origins.Handler, middleware.Compress(5))
	open := func(route string, h http.HandlerFunc) http.HandlerFunc { return s.metrics.measure(route, s.Now, h) }
	closed := func(route string, h http.HandlerFunc) http.HandlerFunc { return open(route, s.viewing(h)) }
	get := func(path, route string, h http.HandlerFunc) {
		r.Get(path, closed(route, h))
		r.Head(path, closed(route, h))
	}
	s.pageRoutes(get)
	s.apiRoutes(get)
	// Who is asked to sign in needs the files, too.
	r.Get("/static/{name}", open("static", s.assets.serve))
	r.Head("/static/{name}", open("static", s.assets.serve))
	s.statusRoutes(get, func(path, route string, h http.HandlerFunc) {
		r.Get(path, open(route, h))
		r.Head(path, open(route, h))
	})
	s.accessRoutes(r, open)
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
		// With no-referrer a browser would not tell Origin either, by which forms of other sites are known.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
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
