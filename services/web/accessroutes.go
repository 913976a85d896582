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
	r.Get(oidcPath, open("sign_in", s.getSignInOIDC))
	r.Get(oidcPath+"/callback", open("sign_in", s.getAnswer))
	r.Post("/sign-out", open("sign_out", s.postSignOut))
	// A node id may hold any character, slashes too.
	r.Delete(nodesPath+"/*", open("delete", s.acting(s.deleteNode)))
	r.Post(nodesPath+"/*", open("act", s.acting(s.postNode)))
	r.Get("/api/silences", open("silences", s.acting(s.getSilences)))
	r.Post("/api/silences", open("act", s.acting(s.postSilence)))
	r.Delete("/api/silences/{id}", open("act", s.acting(s.deleteSilence)))
	r.Post("/api/acknowledgements", open("act", s.acting(s.postAcknowledgement)))
	r.Get("/api/tokens", open("tokens", s.acting(s.getTokens)))
	r.Post("/api/tokens", open("act", s.acting(s.postToken)))
	r.Delete("/api/tokens/{id}", open("act", s.acting(s.deleteToken)))
	r.Get("/api/audit", open("audit", s.acting(s.getActions)))
	r.Post(doPath+"{kind}", open("act", s.acting(s.postForm)))
	r.Get("/tokens", open("tokens", s.acting(s.getTokensPage)))
	r.Get("/audit", open("audit", s.acting(s.getAudit)))
}
