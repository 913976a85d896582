package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

//go:embed static
var staticFiles embed.FS

// assets are the page's files. Their names hold a hash of their content, so they may be kept for ever.
type assets struct {
	CSS, JS, Icon string // paths relative to the page
	Build         string // changes with any of them: an open page then loads itself anew
	files         map[string][]byte
}

func loadAssets() (assets, error) {
	a := assets{files: make(map[string][]byte)}
	all := sha256.New()
	for _, f := range []struct {
		name string
		path *string
	}{{"page.css", &a.CSS}, {"page.js", &a.JS}, {"icon.svg", &a.Icon}} {
		data, err := staticFiles.ReadFile("static/" + f.name)
		if err != nil {
			return assets{}, fmt.Errorf("web: %w", err)
		}
		sum := sha256.Sum256(data)
		all.Write(sum[:])
		ext := path.Ext(f.name)
		name := strings.TrimSuffix(f.name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.files[name] = data
		*f.path = "static/" + name
	}
	a.Build = hex.EncodeToString(all.Sum(nil)[:6])
	return a, nil
}

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "name")
	data, ok := a.files[name]
	if !ok {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

// contentTypes does not ask the machine's own table of types: a wrong one there would stop the page under nosniff.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}
