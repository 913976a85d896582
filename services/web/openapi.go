package web

import (
	"bytes"
	_ "embed" // of the document
	"net/http"
)

const openAPIPath = "/api/openapi.json"

// openAPI describes the API. Tests hold every answer against it.
//
//go:embed openapi.json
var openAPI []byte

// serverPlaceholder is where the document says where the monitor is.
var serverPlaceholder = []byte(`"url": "/"`)

func (s *Service) getOpenAPI(w http.ResponseWriter, r *http.Request) {
	body := openAPI
	if s.PublicURL != "" {
		body = bytes.Replace(body, serverPlaceholder, appendString([]byte(`"url": `), s.PublicURL), 1)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, max-age=300")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client went away
	}
}
