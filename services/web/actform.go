package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// doPath is where forms go: /do/<kind>, with the fields of that kind, and next: where to go afterwards, from the root of
// the page on.
const doPath = "/do/"

// postForm does what a form asks for and sends the browser on. The address it is sent to says what was done:
// done=<kind>, or done=later. When it was not done, a page says why.
func (s *Service) postForm(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	kind, next := chi.URLParam(r, "kind"), r.PostForm.Get("next")
	a, err := s.askOf(r.PostForm)
	a.Base = s.ingestBase(r)
	if err != nil {
		s.refused(w, r, badRequest("%v", err), next)
		return
	}
	x := s.perform(r.Context(), viewer(r), kind, a)
	if !x.ok() {
		s.refused(w, r, x, next)
		return
	}
	if made, ok := x.answer.(tokenAnswer); ok {
		s.showToken(w, r, made)
		return
	}
	if x.status == http.StatusAccepted {
		kind = "later"
	}
	seeOther(w, r, withDone(next, kind))
}

// askOf reads the fields of a form.
func (s *Service) askOf(f url.Values) (a ask, err error) {
	a = ask{NodeID: f.Get("node_id"), Name: f.Get("name"), Text: f.Get("note"), Scope: f.Get("scope"), Value: f.Get("value")}
	number := func(name string) float64 {
		text := strings.Replace(strings.TrimSpace(f.Get(name)), ",", ".", 1)
		if text == "" || err != nil {
			return 0
		}
		n, e := strconv.ParseFloat(text, 64)
		if e != nil {
			err = &fieldError{name}
		}
		return n
	}
	a.ThresholdSec = number("threshold_sec")
	a.ID = int64(number("id"))
	a.Until = s.Now().Add(time.Duration(number("minutes") * float64(time.Minute))).UTC()
	return a, err
}

// fieldError says that a field of a form is no number.
type fieldError struct{ name string }

func (e *fieldError) Error() string { return e.name + ": must be a number" }

// withDone adds done= to an address, and takes an earlier one away.
func withDone(next, done string) string {
	u, err := url.Parse("./" + strings.TrimLeft(next, `/\`))
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("done", done)
	u.RawQuery = q.Encode()
	return strings.TrimPrefix(u.String(), "./")
}

// refusedData is what stands on the page that says why something was not done.
type refusedData struct {
	accessFrame
	Problem string
	Next    string
}

func (s *Service) refused(w http.ResponseWriter, r *http.Request, x result, next string) {
	if x.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	f := s.accessFrame(r, "", accessWordsFor(r).NotDone)
	s.accessPage(w, x.status, "refused.html", refusedData{f, f.A.problem(x.detail), f.Root + strings.TrimLeft(next, `/\`)})
}

// auditData is the page of what was done by whom.
type auditData struct {
	accessFrame
	NodeID  string
	Actions []auditRow
	Newest  string // link to the first page, "" on it
	Older   string // link to the page of older ones, "" when there are none
}

// auditRow is one action.
type auditRow struct {
	ISO, At          string
	By, Via, Address string
	What, NodeID     string
	Node             string // link to the node's page, "" for none
	Detail, Outcome  string
}

// auditRows is how many actions stand on a page.
const auditRows = 100

// getAudit shows the audit log.
func (s *Service) getAudit(w http.ResponseWriter, r *http.Request) {
	q, err := parseActionQuery(r)
	if err != nil {
		q = nodestore.ActionQuery{}
	}
	q.Limit = auditRows + 1
	all, err := s.actions(r, q)
	if err != nil {
		s.refused(w, r, noDatabase, "audit")
		return
	}
	d := auditData{accessFrame: s.accessFrame(r, "audit", accessWordsFor(r).Audit), NodeID: q.NodeID}
	if q.Before != 0 {
		d.Newest = "?" + url.Values{"node_id": {q.NodeID}}.Encode()
	}
	if len(all) > auditRows {
		all = all[:auditRows]
		v := url.Values{"before": {strconv.FormatInt(all[auditRows-1].ID, 10)}}
		if q.NodeID != "" {
			v.Set("node_id", q.NodeID)
		}
		d.Older = "?" + v.Encode()
	}
	for _, a := range all {
		row := auditRow{
			ISO: a.At.UTC().Format(time.RFC3339), At: a.At.UTC().Format("2006-01-02 15:04:05 UTC"), By: a.By, Via: a.Via,
			Address: a.Address, What: d.A.kind(a.Kind), NodeID: a.NodeID, Detail: a.Detail, Outcome: d.A.outcome(a.Outcome),
		}
		if a.NodeID != "" {
			row.Node = nodeLink(d.Root, a.NodeID)
		}
		d.Actions = append(d.Actions, row)
	}
	s.accessPage(w, http.StatusOK, "audit.html", d)
}

func (s *Service) actions(r *http.Request, q nodestore.ActionQuery) ([]nodestore.Action, error) {
	if s.Access == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	all, err := s.Access.Actions(ctx, q)
	if err != nil {
		s.note(err)
	}
	return all, err
}
