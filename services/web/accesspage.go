package web

import (
	"context"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"time"
)

// accessFrame is what every page about access needs.
type accessFrame struct {
	frame
	Heading string
}

// around is the frame itself.
func (f accessFrame) around() frame { return f.frame }

// accessFrame makes the frame of a page. nav is its entry in the navigation, or "".
func (s *Service) accessFrame(r *http.Request, nav, heading string) accessFrame {
	f := s.frame(r, language(r), page{nav: nav, title: heading}, s.Now())
	f.Still = true
	return accessFrame{f, heading}
}

// accessPage answers one of the pages about access.
func (s *Service) accessPage(w http.ResponseWriter, status int, name string, data interface{ around() frame }) {
	body, err := s.render(name, data)
	f := data.around()
	f.Live = template.HTML(body) //nolint:gosec // made by the templates, escaped there
	if err == nil {
		body, err = s.render("page.html", f)
	}
	if err != nil {
		s.failed(w, err)
		return
	}
	html(w, status, body)
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
