package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// getNodes answers all nodes that the query selects, ordered by node_id: a JSON array, or CSV.
func (s *Service) getNodes(w http.ResponseWriter, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		detail(w, http.StatusBadRequest, "the query cannot be read: "+err.Error())
		return
	}
	q, err := parseNodesQuery(values)
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	form, err := formatOf(r, values)
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	q.viewer = viewer(r)
	key := string(form) + " " + q.key()
	if s.unchanged(w, r, key) {
		return
	}
	snap, err := s.snapshotFor(r.Context(), q)
	if err != nil {
		unavailable(w, "the database does not answer")
		return
	}
	now := snap.now(s.Now())
	setStale(w, snap.staleness(now))
	setTag(w, &snap.standing, now, key)
	// Ages are those of when the data was read, so that one answer serves all who ask meanwhile.
	selected, more := snap.page(q)
	if more {
		setNext(w, nodesPath, values, selected[len(selected)-1].ID)
	}
	switch {
	case form == csvFormat:
		writeCSV(w, r, "nodes", nodeColumns, selected, func(row []string, n *node.Node) []string {
			return appendNodeCells(row, n, snap.at, &snap.status.Clock)
		})
	case acceptsGzip(r) && len(selected) >= worthKeeping:
		sendPacked(w, r, snap.answers.get(key, func() []byte { return packNodes(selected, snap.at, snap.status.Clock) }))
	default:
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodHead {
			_ = writeNodes(w, selected, snap.at, snap.status.Clock) // the client went away
		}
	}
}

// sendPacked answers what is compressed already.
func sendPacked(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client went away
	}
}

// smallPage is up to how many nodes are read by themselves: more are taken from a read of all, which serves everybody for
// a second.
const smallPage = 200

// snapshotFor reads what is needed to answer q.
func (s *Service) snapshotFor(ctx context.Context, q nodesQuery) (*snapshot, error) {
	if q.limit > 0 && q.limit <= smallPage && q.search == "" {
		at, err := s.standing.get(ctx)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(forAll(ctx), readLimit) // page shows of it what the viewer may see
		defer cancel()
		nodes, err := s.Store.Nodes(ctx, nodestore.NodeQuery{States: q.states, After: q.after, Limit: q.limit + 1})
		return &snapshot{standing: *at, nodes: pointers(nodes)}, err
	}
	return s.view.get(ctx)
}

// key tells apart what was asked for.
func (q nodesQuery) key() string {
	v := url.Values{"q": {q.search}, "after": {q.after}, "limit": {strconv.Itoa(q.limit)}, "addresses": {strconv.FormatBool(q.viewer.Addresses)}}
	for _, state := range q.states {
		v.Add("state", string(state))
	}
	// Who may not see addresses gets another answer.
	return strconv.FormatBool(q.viewer.Addresses) + " " + v.Encode()
}

// setNext links to the page after the one answered.
func setNext(w http.ResponseWriter, path string, values url.Values, after string) {
	values.Set("after", after)
	w.Header().Set("Link", "<"+path+"?"+values.Encode()+`>; rel="next"`)
}

// format is in which form a list is answered.
type format string

const (
	jsonFormat format = "json"
	csvFormat  format = "csv"
)

// formatOf is what ?format= says, else what Accept prefers.
func formatOf(r *http.Request, values url.Values) (format, error) {
	switch f := format(strings.ToLower(values.Get("format"))); f {
	case jsonFormat, csvFormat:
		return f, nil
	case "":
	default:
		return "", errFormat
	}
	accept := r.Header.Get("Accept")
	if strings.Contains(accept, "text/csv") && !strings.Contains(accept, "json") {
		return csvFormat, nil
	}
	return jsonFormat, nil
}

// tag is the ETag of what is made of the data at this position for the key. Age in the answer go on meanwhile, so it is
// a weak one; a monitor that works moves its position at least every few seconds.
func (s *standing) tag(key string) string {
	p := s.status.Clock.Position
	b := strconv.AppendInt([]byte(`W/"`), p.Epoch, 36)
	b = strconv.AppendUint(append(b, '-'), p.Seq, 36)
	return string(append(strconv.AppendUint(append(b, '-'), keySum(key), 36), '"'))
}

// setTag lets whoever asked ask whether anything changed. Of old data nobody is told that it did not: ages go on, and so
// does the age of the data.
func setTag(w http.ResponseWriter, s *standing, now time.Time, key string) {
	h := w.Header()
	h.Add("Vary", "Accept, Accept-Encoding, Authorization, Cookie")
	if s.staleness(now) > 0 || s.status.Term == 0 {
		return
	}
	h.Set("ETag", s.tag(key))
	h.Set("Cache-Control", "private, no-cache")
}

// unchanged answers 304 to who has what would be answered. It costs no look at the nodes.
func (s *Service) unchanged(w http.ResponseWriter, r *http.Request, key string) bool {
	have := r.Header.Get("If-None-Match")
	if have == "" {
		return false
	}
	at, err := s.standing.get(r.Context())
	now := s.Now()
	if err != nil || at.status.Term == 0 || at.staleness(at.now(now)) > 0 || !holds(have, at.tag(key)) {
		return false
	}
	setTag(w, at, at.now(now), key)
	w.WriteHeader(http.StatusNotModified)
	return true
}

// holds reports whether a list of entity tags has one that is weakly the same.
func holds(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
