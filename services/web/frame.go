package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

//go:embed templates
var templateFiles embed.FS

// pages are the parsed templates: page.html is the frame of all of them, live.html what the script keeps fresh.
type pages struct{ *template.Template }

func loadPages() (pages, error) {
	t, err := template.ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return pages{}, fmt.Errorf("web: %w", err)
	}
	return pages{t}, nil
}

// liveHeader is sent by the script: it wants the live part of a page alone.
const liveHeader = "X-Live"

// errNoSuchPage is what a page's data function returns when there is nothing at its address.
var errNoSuchPage = errors.New("there is no such page")

// page is one page of the monitor.
type page struct {
	nav   string // which entry of the navigation it belongs to
	title string // "" for the site's own
	live  string // template of what the script keeps fresh
	key   string // all that the live part depends on, besides its template, the language and the data

	above     string // template of what stands before the live part, "" for none
	aboveData any
	below     string // likewise after it
	belowData any
	// data reads what the live part shows. errNoSuchPage makes the answer a 404.
	data func(ctx context.Context, at *standing) (any, error)
}

// frame is what stands around every page.
type frame struct {
	W            *words
	SiteTitle    string
	Title        string
	Assets       assets
	Root         string // the way from this page to the monitor's root: "./" or "../"
	Now          int64  // Unix milliseconds
	Clock        string
	Nav          []navEntry
	OtherLang    string // link to this page in the other language
	Above, Below template.HTML
	Live         template.HTML

	A       *accessWords
	Viewer  Viewer
	SignIn  string // link to sign in and come back, "" where that makes no sense
	SignOut bool   // there is a session to end
	Done    string // what was just done, in words
	Still   bool   // nothing on the page changes by itself
	Forms   bool   // something is written here: loading it anew would lose it
}

// navEntry is one entry of the navigation.
type navEntry struct {
	Name, Word, Link string
	Current          bool
}

// liveFrame is what stands around the live part of every page.
type liveFrame struct {
	W       *words
	Build   string
	Title   string
	Summary string // what a screen reader says when it changes
	Banners []banner
	Table   bool // there is data; else the part says why not
	Body    template.HTML
}

// show answers a page, or its live part alone.
func (s *Service) show(w http.ResponseWriter, r *http.Request, p page) {
	words := s.chooseLanguage(w, r)
	v := viewer(r)
	key := strings.Join([]string{p.live, words.Lang, root(r), p.key, strconv.FormatBool(v.Addresses), strconv.FormatBool(v.SignedIn)}, "\x00")
	part, err := s.cache.get(r.Context(), key, func(ctx context.Context) *renderedPart { return s.renderPart(ctx, words, v, root(r), p) })
	if err != nil {
		return // the viewer left
	}
	now := s.Now()
	if part.standing != nil {
		now = part.standing.now(now)
		setStale(w, part.standing.staleness(now))
	}
	if part.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if r.Header.Get(liveHeader) != "" {
		w.Header().Set("X-Monitor-Now", strconv.FormatInt(now.UnixMilli(), 10))
		html(w, part.status, part.body)
		return
	}
	f := s.frame(r, words, p, now)
	f.Forms = p.below != ""
	f.Live = template.HTML(part.body) //nolint:gosec // made by the templates, escaped there
	body, err := s.render("page.html", f)
	if err != nil {
		s.failed(w, err)
		return
	}
	html(w, part.status, body)
}

func (s *Service) frame(r *http.Request, w *words, p page, now time.Time) frame {
	f := frame{
		W: w, SiteTitle: s.SiteTitle, Title: s.title(p), Assets: s.assets, Root: root(r),
		Now: now.UnixMilli(), Clock: now.UTC().Format("15:04:05 UTC"), OtherLang: inLanguage(r, w.OtherLang),
	}
	f.A, f.Viewer = accessWordsFor(r), viewer(r)
	f.Done = f.A.Done[r.URL.Query().Get("done")]
	f.SignOut = f.Viewer.Via == viaPassword || f.Viewer.Via == viaOIDC
	if !f.Viewer.SignedIn && f.Viewer.Via != "" && s.signInPossible() {
		f.SignIn = f.Root + signInPath + "?" + url.Values{"next": {here(r)}}.Encode()
	}
	if !safeMethod(r) {
		f.OtherLang = "" // this page is the answer to a form, and has no address
	}
	f.Nav = f.navigation(p.nav)
	f.Above = s.part(p.above, p.aboveData)
	f.Below = s.part(p.below, p.belowData)
	return f
}

// navigation has what the viewer may open.
func (f *frame) navigation(current string) (out []navEntry) {
	if f.Viewer.Via == "" {
		return nil // they have not signed in yet
	}
	out = []navEntry{{"nodes", f.W.Nodes, "", false}, {"incidents", f.W.Incidents, "incidents", false}, {"monitor", f.W.Monitor, "monitor", false}}
	if f.Viewer.SignedIn {
		out = append(out, navEntry{"tokens", f.A.TokensShort, "tokens", false}, navEntry{"audit", f.A.AuditShort, "audit", false})
	}
	for i := range out {
		out[i].Link, out[i].Current = f.Root+out[i].Link, out[i].Name == current
	}
	return out
}

// part renders what stands around the live part of a page.
func (s *Service) part(name string, data any) template.HTML {
	if name == "" {
		return ""
	}
	b, err := s.render(name, data)
	return template.HTML(s.orLog(b, err)) //nolint:gosec // made by the templates, escaped there
}

func (s *Service) title(p page) string {
	if p.title == "" {
		return s.SiteTitle
	}
	return p.title + " · " + s.SiteTitle
}

// renderPart reads and renders the live part of a page, or says why it cannot.
func (s *Service) renderPart(ctx context.Context, w *words, v Viewer, root string, p page) *renderedPart {
	f := liveFrame{W: w, Build: s.assets.Build, Title: s.title(p)}
	at, err := s.standing.get(ctx)
	var data any
	if err == nil {
		data, err = p.data(ctx, at)
	}
	switch {
	case errors.Is(err, errNoSuchPage):
		f.Summary, f.Table = w.Gone, true
		return s.finish(f, http.StatusNotFound, at, "gone.html", goneData{w, root, true})
	case err != nil:
		s.note(fmt.Errorf("read a page: %w", err))
		f.Summary = w.NoDatabase
		return s.finish(f, http.StatusServiceUnavailable, nil, "broken.html", goneData{w, root, p.above == ""})
	}
	f.Table, f.Banners, f.Summary = true, at.banners(w), w.summary(at.status.Counts)
	if !v.Addresses {
		for i := range f.Banners {
			f.Banners[i].Text = hideAddresses(f.Banners[i].Text)
		}
	}
	if broken := at.status.Counts[node.Lost] + at.status.Counts[node.Down]; broken > 0 {
		f.Title = "(" + strconv.Itoa(broken) + ") " + f.Title
	}
	// Banners are part of the news.
	for _, b := range f.Banners {
		if b.Grave {
			f.Summary += ". " + b.Text
		}
	}
	return s.finish(f, http.StatusOK, at, p.live, data)
}

// goneData is what a page shows that is not there.
type goneData struct {
	W    *words
	Root string
	Top  bool // nothing on the page has a heading of the first level
}

func (s *Service) finish(f liveFrame, status int, at *standing, name string, data any) *renderedPart {
	f.Body = s.part(name, data)
	body, err := s.render("live.html", f)
	return &renderedPart{status: status, body: s.orLog(body, err), standing: at}
}

// root is the relative way from a request's address to the monitor's root, which may itself stand below a path.
func root(r *http.Request) string {
	depth := strings.Count(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if depth == 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}

// nodeLink is the address of a node's page. An id may hold any character; in a path, "." and ".." would vanish.
func nodeLink(root, id string) string {
	if id == "." || id == ".." {
		return root + "nodes/?id=" + url.QueryEscape(id)
	}
	return root + "nodes/" + url.PathEscape(id)
}

// setStale marks an answer made of old data, for whoever watches the monitor by a program.
func setStale(w http.ResponseWriter, age time.Duration) {
	if age > 0 {
		w.Header().Set(staleHeader, strconv.FormatInt(int64(age/time.Second), 10))
	}
}

// orLog cannot happen with templates that the tests render; a viewer gets an empty part then, not a half one.
func (s *Service) orLog(part []byte, err error) []byte {
	if err != nil {
		s.Log.Error().Err(err).Msg("the page cannot be rendered")
		return nil
	}
	return part
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
	w.Header().Add("Vary", "Accept-Language, Cookie, "+liveHeader)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away
}
