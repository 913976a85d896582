package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	incidentsPath  = "/api/incidents"
	someIncidents  = 100
	mostIncidents  = 1000  // of one JSON answer
	mostInFile     = 50000 // of one CSV file
	incidentsAhead = 1000  // read at a time for a file
)

// incidentJSON is an incident. Times are Unix seconds.
type incidentJSON struct {
	NodeID       string            `json:"node_id"`
	Name         *string           `json:"name"`
	Began        int64             `json:"began"`
	Ended        *int64            `json:"ended"` // null while it lasts
	Lasted       int64             `json:"lasted_sec"`
	State        string            `json:"state"` // the worst that the node was
	Reason       *string           `json:"reason"`
	Evidence     *string           `json:"evidence"`
	Deleted      bool              `json:"deleted"` // it ended since the node was deleted
	Acknowledged *acknowledgedJSON `json:"acknowledged"`
}

type acknowledgedJSON struct {
	By string `json:"by"`
	At int64  `json:"at"`
}

// parseIncidentQuery reads the parameters. The error says which is wrong and what is allowed.
func parseIncidentQuery(v url.Values, most int) (nodestore.IncidentQuery, error) {
	q := nodestore.IncidentQuery{NodeID: v.Get("node"), After: v.Get("after"), Limit: someIncidents}
	switch v.Get("open") {
	case "", "0", "false":
	case "1", "true":
		q.OpenOnly = true
	default:
		return q, errors.New("open: must be true or false")
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return q, errors.New("limit: must be a whole number from 1 to " + strconv.Itoa(most))
		}
		q.Limit = n
	}
	return q, nil
}

// getIncidentsJSON answers incidents, those that last first, as JSON or CSV.
func (s *Service) getIncidentsJSON(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	form, err := formatOf(r, values)
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	most := mostIncidents
	if form == csvFormat {
		most = mostInFile
	}
	q, err := parseIncidentQuery(values, most)
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	if form == csvFormat && values.Get("limit") == "" {
		q.Limit = mostInFile
	}
	at, err := s.standing.get(r.Context())
	var found []nodestore.Incident
	var next string
	if err == nil {
		found, next, err = s.incidents(r.Context(), q)
	}
	switch {
	case errors.Is(err, nodestore.ErrAfter):
		detail(w, http.StatusBadRequest, "after: must be what the Link of an answer says")
		return
	case err != nil:
		s.note(err)
		unavailable(w, "the database does not answer")
		return
	}
	now, v := at.now(s.Now()), viewer(r)
	setStale(w, at.staleness(now))
	w.Header().Add("Vary", "Accept, Authorization, Cookie")
	if next != "" {
		setNext(w, incidentsPath, values, next)
	}
	if form == csvFormat {
		writeCSV(w, r, "incidents", incidentColumns, found, func(row []string, i nodestore.Incident) []string {
			return appendIncidentCells(row, newIncidentJSON(i, now, v))
		})
		return
	}
	out := make([]incidentJSON, len(found))
	for i := range found {
		out[i] = newIncidentJSON(found[i], now, v)
	}
	answer(w, http.StatusOK, out)
}

// incidents returns up to q.Limit incidents, and where to go on if there are more. Many are read in several steps, so
// that no query is long.
func (s *Service) incidents(ctx context.Context, q nodestore.IncidentQuery) (all []nodestore.Incident, next string, err error) {
	for want := q.Limit; ; {
		q.Limit = min(want-len(all)+1, incidentsAhead)
		step, err := s.someIncidents(ctx, q)
		if err != nil {
			return nil, "", err
		}
		all = append(all, step...)
		if len(all) > want {
			return all[:want], all[want-1].Key, nil
		}
		if len(step) < q.Limit {
			return all, "", nil
		}
		q.After = all[len(all)-1].Key
	}
}

func (s *Service) someIncidents(ctx context.Context, q nodestore.IncidentQuery) ([]nodestore.Incident, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	return s.Store.Incidents(ctx, q)
}

func newIncidentJSON(i nodestore.Incident, now time.Time, v Viewer) incidentJSON {
	if !v.Addresses {
		i.Evidence = hideAddresses(i.Evidence)
	}
	out := incidentJSON{
		NodeID: i.NodeID, Name: textOrNull(i.Name), Began: unix(i.Began), Ended: optional(i.Ended), State: string(i.State),
		Reason: textOrNull(i.Reason), Evidence: textOrNull(i.Evidence), Deleted: i.Deleted,
	}
	end := i.Ended
	if end == 0 {
		end = node.Stamp(now.UnixNano())
	}
	out.Lasted = int64(end.Since(i.Began) / time.Second)
	if a := i.Acknowledgement; a.By != "" {
		out.Acknowledged = &acknowledgedJSON{By: a.By, At: a.At.Unix()}
		if !v.Addresses {
			out.Acknowledged.By = ""
		}
	}
	return out
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

var incidentColumns = []string{
	"node_id", "name", "began", "ended", "lasted_sec", "state", "reason", "evidence", "deleted", "acknowledged_by", "acknowledged_at",
}

// appendIncidentCells writes incidentColumns.
func appendIncidentCells(row []string, i incidentJSON) []string {
	ended, by, at := "", "", ""
	if i.Ended != nil {
		ended = second(*i.Ended)
	}
	if i.Acknowledged != nil {
		by, at = i.Acknowledged.By, second(i.Acknowledged.At)
	}
	return append(row,
		cell(i.NodeID), cell(orEmpty(i.Name)), second(i.Began), ended, strconv.FormatInt(i.Lasted, 10), i.State,
		cell(orEmpty(i.Reason)), cell(orEmpty(i.Evidence)), strconv.FormatBool(i.Deleted), cell(by), at,
	)
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// second is a time in Unix seconds as programs and spreadsheets read it.
func second(at int64) string { return moment(node.Stamp(at * int64(time.Second))) }
