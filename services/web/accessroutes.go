package web

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

// accessRoutes are those of signing in and acting. open counts the answers of a route by a name.
func (s *Service) accessRoutes(r chi.Router, open func(route string, h http.HandlerFunc) http.HandlerFunc) {
	r.Get("/"+signInPath, open("sign_in", s.getSignIn))
	r.Post("/"+signInPath, open("sign_in", s.postSignIn))
	r.Get("/"+signInPath+"/basic", open("sign_in", s.getSignInBasic))
	r.Post("/sign-out", open("sign_out", s.postSignOut))
	// A node id may hold any character, slashes too.
	r.Delete(nodesPath+"/*", open("delete", s.acting(s.deleteNode)))
}
