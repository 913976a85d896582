package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// nodeIDOf is the node that the path names. It is decoded once here; chi's own parameter is sometimes decoded and
// sometimes not.
func nodeIDOf(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, nodesPath+"/") }

// deleteNode answers 200 once the node is gone, else 202.
func (s *Service) deleteNode(w http.ResponseWriter, r *http.Request) {
	reply(w, s.perform(r.Context(), viewer(r), "delete", ask{NodeID: nodeIDOf(r)}))
}

// postNode changes what is set of name, threshold_sec and note, in this order, and stops at the first that fails.
func (s *Service) postNode(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name         *string  `json:"name"`
		ThresholdSec *float64 `json:"threshold_sec"`
		Note         *string  `json:"note"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	a, x := ask{NodeID: nodeIDOf(r)}, badRequest("one of name, threshold_sec and note must be set")
	later := result{}
	do := func(kind string) bool {
		if x = s.perform(r.Context(), viewer(r), kind, a); x.status == http.StatusAccepted {
			later = x
		}
		return x.ok()
	}
	if a.Name = deref(body.Name); body.Name != nil && !do("name") {
		reply(w, x)
		return
	}
	if a.ThresholdSec = deref(body.ThresholdSec); body.ThresholdSec != nil && !do("threshold") {
		reply(w, x)
		return
	}
	if a.Text = deref(body.Note); body.Note != nil && !do("note") {
		reply(w, x)
		return
	}
	if x.ok() && later.status != 0 {
		x = later
	}
	reply(w, x)
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// postSilence adds a silence: {"scope":"node","value":"rig-1","minutes":120,"note":"new fan"}, or until instead of
// minutes.
func (s *Service) postSilence(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Scope   string  `json:"scope"`
		Value   string  `json:"value"`
		Minutes float64 `json:"minutes"`
		Until   string  `json:"until"`
		Note    string  `json:"note"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	end, err := until(s.Now(), body.Minutes, body.Until)
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	reply(w, s.perform(r.Context(), viewer(r), "silence", ask{Scope: body.Scope, Value: body.Value, Until: end, Text: body.Note}))
}

// deleteSilence ends a silence before its time.
func (s *Service) deleteSilence(w http.ResponseWriter, r *http.Request) {
	s.byID(w, r, "unsilence")
}

// postAcknowledgement says that somebody takes care of a node's incident: {"node_id":"rig-1"}.
func (s *Service) postAcknowledgement(w http.ResponseWriter, r *http.Request) {
	var body struct {
		NodeID string `json:"node_id"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	reply(w, s.perform(r.Context(), viewer(r), "acknowledge", ask{NodeID: body.NodeID}))
}

func (s *Service) byID(w http.ResponseWriter, r *http.Request, kind string) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		detail(w, http.StatusNotFound, "there is no such thing, or it is over")
		return
	}
	reply(w, s.perform(r.Context(), viewer(r), kind, ask{ID: id}))
}

// actionAnswer is a line of the audit log as programs see it.
type actionAnswer struct {
	ID      int64  `json:"id"`
	At      int64  `json:"at"` // Unix seconds
	By      string `json:"by"`
	Via     string `json:"via"`
	Address string `json:"address"`
	Action  string `json:"action"`
	NodeID  string `json:"node_id,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Outcome string `json:"outcome"` // "" while it is not known
}

// getActions answers the audit log, newest first: ?node_id=, ?before=<id>, ?limit= (100, at most 1000).
func (s *Service) getActions(w http.ResponseWriter, r *http.Request) {
	q, err := parseActionQuery(r)
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	all, err := s.actions(r, q)
	if err != nil {
		unavailable(w, noDatabase.detail)
		return
	}
	out := make([]actionAnswer, 0, len(all))
	for _, a := range all {
		out = append(out, actionAnswer{
			a.ID, a.At.Unix(), a.By, a.Via, a.Address, a.Kind, a.NodeID, a.Detail, a.Outcome,
		})
	}
	answer(w, http.StatusOK, out)
}

func parseActionQuery(r *http.Request) (nodestore.ActionQuery, error) {
	const most = 1000
	v := r.URL.Query()
	q := nodestore.ActionQuery{NodeID: v.Get("node_id"), Limit: 100}
	for _, p := range []struct {
		name string
		most int64
		set  func(n int64)
	}{
		{"before", 1<<63 - 1, func(n int64) { q.Before = n }},
		{"limit", most, func(n int64) { q.Limit = int(n) }},
	} {
		text := v.Get(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || n > p.most {
			return q, &parameterError{p.name, p.most}
		}
		p.set(n)
	}
	return q, nil
}

// parameterError says that a number in the query is none.
type parameterError struct {
	name string
	most int64
}

func (e *parameterError) Error() string {
	return e.name + ": must be a whole number from 1 to " + strconv.FormatInt(e.most, 10)
}
