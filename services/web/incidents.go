package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// pageIncidents is how many incidents stand on a page.
const pageIncidents = 100

// incidentsData is what the page of incidents shows.
type incidentsData struct {
	W           *words
	Root        string
	Tabs        []sortLink
	Rows        []incidentRow
	First, Next string
}

// incidentRow is one incident.
type incidentRow struct {
	Key                       string
	Open                      bool
	ID, Name, Link            string
	Class, Word, Glyph        string
	Code, Reason, Evidence    string
	ISO, Began, EndISO, Ended string
	BeganMs                   int64 // of one that lasts
	Lasted                    string
	Acknowledged, Deleted     string
}

// getIncidents answers the page of all incidents, those that last first.
func (s *Service) getIncidents(w http.ResponseWriter, r *http.Request) {
	v, words := r.URL.Query(), language(r)
	q := nodestore.IncidentQuery{OpenOnly: v.Get("open") != "", Limit: pageIncidents + 1}
	if after := v.Get("after"); len(after) <= maxAfter {
		q.After = strings.ToValidUTF8(after, "")
	}
	key := q.After
	if q.OpenOnly {
		key += "\x00open"
	}
	s.show(w, r, page{
		nav: "incidents", title: words.Incidents, live: "incidents.html", key: key,
		above: "incidents-above.html", aboveData: goneData{W: words, Root: root(r)},
		data: func(ctx context.Context, at *standing) (any, error) {
			return s.incidentsData(ctx, words, root(r), q, at)
		},
	})
}

func (s *Service) incidentsData(ctx context.Context, w *words, root string, q nodestore.IncidentQuery, at *standing) (*incidentsData, error) {
	incidents, err := s.Store.Incidents(ctx, q)
	if errors.Is(err, nodestore.ErrAfter) {
		q.After = ""
		incidents, err = s.Store.Incidents(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	link := func(open bool, after string) string {
		v := make(url.Values)
		if open {
			v.Set("open", "1")
		}
		if after != "" {
			v.Set("after", after)
		}
		return "?" + v.Encode()
	}
	d := &incidentsData{W: w, Root: root, Tabs: []sortLink{
		{"all", w.All, link(false, ""), !q.OpenOnly}, {"open", w.Incident.OpenOnly, link(true, ""), q.OpenOnly},
	}}
	if q.After != "" {
		d.First = link(q.OpenOnly, "")
	}
	if len(incidents) > pageIncidents {
		incidents = incidents[:pageIncidents]
		d.Next = link(q.OpenOnly, incidents[pageIncidents-1].Key)
	}
	for _, i := range incidents {
		d.Rows = append(d.Rows, newIncidentRow(w, root, i, at.at))
	}
	return d, nil
}

func newIncidentRow(w *words, root string, i nodestore.Incident, now time.Time) incidentRow {
	began := i.Began.Time()
	r := incidentRow{
		Key: i.Key, Open: i.Ended == 0, ID: i.NodeID, Name: i.Name, Link: nodeLink(root, i.NodeID),
		Class: stateClass(i.State), Word: w.state(i.State), Glyph: cmp.Or(glyphs[i.State], "?"),
		Code: i.Reason, Reason: cmp.Or(w.reason(i.Reason), i.Reason), Evidence: i.Evidence,
		ISO: began.Format(time.RFC3339), Began: w.when(began, now),
	}
	if i.Ended == 0 {
		r.BeganMs, r.Lasted = began.UnixMilli(), w.short(now.Sub(began))
	} else {
		ended := i.Ended.Time()
		r.EndISO, r.Ended, r.Lasted = ended.Format(time.RFC3339), w.when(ended, now), w.short(i.Ended.Since(i.Began))
	}
	if a := i.Acknowledgement; a.By != "" {
		r.Acknowledged = w.acknowledged(a.By, w.when(a.At, now))
	}
	if i.Deleted {
		r.Deleted = w.event(&node.Event{Kind: node.Deleted, By: i.By})
	}
	return r
}
