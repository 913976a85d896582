package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

//go:embed templates
var templateFiles embed.FS

// pages are the parsed templates: page is the frame, and table, empty and broken are what stands in it.
type pages struct{ *template.Template }

func loadPages() (pages, error) {
	t, err := template.ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return pages{}, fmt.Errorf("web: %w", err)
	}
	return pages{t}, nil
}

// frame is what the page needs around its table.
type frame struct {
	W         *words
	SiteTitle string
	Title     string
	Assets    assets
	Now       int64 // Unix milliseconds
	Clock     string
	Search    string
	State     string
	Lang      string // "" unless it was asked for
	OtherLang string // link to this page in the other language
	Live      template.HTML
}

// getPage answers the whole page, with a plain explanation where the table would be when there is none.
func (s *Service) getPage(w http.ResponseWriter, r *http.Request) {
	look, status, live, now := s.table(w, r)
	f := frame{
		W: look.w, SiteTitle: s.SiteTitle, Title: s.SiteTitle, Assets: s.assets,
		Now: now.UnixMilli(), Clock: now.UTC().Format("15:04:05 UTC"),
		Search: look.search, State: look.stateParam(), OtherLang: look.link(look.stateParam(), look.search, look.w.OtherLang),
		Live: template.HTML(live), //nolint:gosec // made by the templates below, escaped there
	}
	if look.explicit {
		f.Lang = look.w.Lang
	}
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, "page.html", f); err != nil {
		s.failed(w, err)
		return
	}
	html(w, status, b.Bytes())
}

// getTable answers the part of the page that the script replaces.
func (s *Service) getTable(w http.ResponseWriter, r *http.Request) {
	_, status, live, now := s.table(w, r)
	w.Header().Set("X-Monitor-Now", strconv.FormatInt(now.UnixMilli(), 10))
	html(w, status, live)
}

// table renders the table, or why there is none. now is by the clock that stamps, where that is known.
func (s *Service) table(w http.ResponseWriter, r *http.Request) (look look, status int, live []byte, now time.Time) {
	look, now = lookOf(r), s.Now()
	snap, err := s.view.get(r.Context())
	if err != nil {
		w.Header().Set("Retry-After", "2")
		live, err = s.render("broken.html", liveData{W: look.w, Build: s.assets.Build, Title: s.SiteTitle})
		return look, http.StatusServiceUnavailable, s.orLog(live, err), now
	}
	now = snap.now(now)
	setStale(w, snap.staleness(now))
	if len(snap.nodes) == 0 {
		live, err = s.render("empty.html", s.emptyData(snap, look, r))
	} else {
		live, err = s.fragment(snap, look)
	}
	return look, http.StatusOK, s.orLog(live, err), now
}

// setStale marks an answer made of old data, for whoever watches the monitor by a program.
func setStale(w http.ResponseWriter, age time.Duration) {
	if age > 0 {
		w.Header().Set(staleHeader, strconv.FormatInt(int64(age/time.Second), 10))
	}
}

// orLog cannot happen with templates that the tests render; a viewer gets an empty table then, not a half one.
func (s *Service) orLog(live []byte, err error) []byte {
	if err != nil {
		s.Log.Error().Err(err).Msg("the page cannot be rendered")
		return nil
	}
	return live
}

func (s *Service) failed(w http.ResponseWriter, err error) {
	s.Log.Error().Err(err).Msg("the page cannot be rendered")
	detail(w, http.StatusInternalServerError, "the page cannot be rendered")
}

func (s *Service) render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := s.pages.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}

func html(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Add("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away
}

// look is how one viewer wants to see the table.
type look struct {
	filter
	w        *words
	explicit bool // the language was asked for by ?lang=
}

// lookOf reads the parameters. What it does not understand it leaves out: people mend their address line by hand.
func lookOf(r *http.Request) look {
	var l look
	l.w, l.explicit = language(r)
	l.viewer = viewer(r)
	v := r.URL.Query()
	if search := []rune(strings.ToValidUTF8(strings.TrimSpace(v.Get("q")), "")); len(search) <= maxSearch {
		l.search = string(search)
	}
	if state := node.State(v.Get("state")); slices.Contains(states, state) {
		l.states = []node.State{state}
	}
	return l
}

func (l look) stateParam() string {
	if len(l.states) == 0 {
		return ""
	}
	return string(l.states[0])
}

// link is the address of the page with other parameters, relative to it: the page may stand below a path.
func (l look) link(state, search, lang string) string {
	v := make(url.Values)
	for name, value := range map[string]string{"state": state, "q": search, "lang": lang} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return "./"
	}
	return "?" + v.Encode()
}

// keep is the language as links to other views carry it on.
func (l look) keep() string {
	if l.explicit {
		return l.w.Lang
	}
	return ""
}
