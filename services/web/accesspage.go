package web

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// accessFrame is what every page about access needs.
type accessFrame struct {
	W         *words
	A         *accessWords
	SiteTitle string
	Title     string
	Assets    assets
	Root      string // from this page to the root, ./ or ../
	Lang      string // "" unless it was asked for
	Viewer    Viewer
	Done      string // what was just done, in words
}

// accessFrame makes the frame of a page. done is a word of Done in accessWords, or "".
func (s *Service) accessFrame(r *http.Request, title string) accessFrame {
	w, explicit := language(r)
	f := accessFrame{
		W: w, A: accessWordsFor(r), SiteTitle: s.SiteTitle, Title: title, Assets: s.assets,
		Root: "./" + strings.Repeat("../", strings.Count(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")), Viewer: viewer(r),
	}
	if explicit {
		f.Lang = w.Lang
	}
	f.Done = f.A.Done[r.URL.Query().Get("done")]
	return f
}

// accessPage answers one of the pages about access.
func (s *Service) accessPage(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		s.failed(w, err)
		return
	}
	html(w, status, b.Bytes())
}

// retryAfter is a time as the header says it, in whole seconds.
func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
