package web

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"strconv"
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
	Viewer    Viewer
	Done      string // what was just done, in words
}

// accessFrame makes the frame of a page. done is a word of Done in accessWords, or "".
func (s *Service) accessFrame(r *http.Request, title string) accessFrame {
	f := accessFrame{
		W: language(r), A: accessWordsFor(r), SiteTitle: s.SiteTitle, Title: title, Assets: s.assets,
		Root: root(r), Viewer: viewer(r),
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

const (
	// pruneEvery is how often what is over is deleted.
	pruneEvery = time.Hour
	// actionsAge is how long the audit log and revoked tokens are kept.
	actionsAge = 400 * 24 * time.Hour
)

// pruneAccess deletes sessions that are over, and what is old, until ctx ends.
func (s *Service) pruneAccess(ctx context.Context) {
	if s.Access == nil {
		return
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pctx, cancel := context.WithTimeout(ctx, copyLimit)
		if err := s.Access.PruneAccess(pctx, s.Now(), actionsAge); err != nil && ctx.Err() == nil {
			s.Log.Warn().Err(err).Msg("old sessions and actions could not be deleted; tried again in an hour")
		}
		cancel()
	}
}
