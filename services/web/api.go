package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// apiRoutes are what programs read.
func (s *Service) apiRoutes(get func(path, route string, h http.HandlerFunc)) {
	get(nodesPath, "nodes", s.getNodes)
	get(nodesPath+"/*", "node", s.getNodeJSON)
	get(incidentsPath, "incidents_api", s.getIncidentsJSON)
	get("/api/stats", "stats", s.getStats)
	get(openAPIPath, "openapi", s.getOpenAPI)
}

const (
	maxSearch = 200     // characters of ?q=
	maxLimit  = 1000000 // nodes
)

// staleHeader tells programs what the banner tells people: the data's age in whole seconds, when it is too old.
const staleHeader = "X-Monitor-Stale"

// nodesQuery is what GET /api/nodes was asked for.
type nodesQuery struct {
	filter
	after string // ids greater than this
	limit int    // 0 for all
}

// parseNodesQuery reads the parameters. The error says which is wrong and what is allowed.
func parseNodesQuery(v url.Values) (nodesQuery, error) {
	q := nodesQuery{filter: filter{search: v.Get("q")}, after: v.Get("after")}
	if utf8.RuneCountInString(q.search) > maxSearch {
		return q, fmt.Errorf("q: must be at most %d characters", maxSearch)
	}
	for _, word := range strings.Split(strings.Join(v["state"], ","), ",") {
		if word == "" {
			continue
		}
		state := node.State(strings.ToLower(word))
		if !slices.Contains(states, state) {
			return q, errors.New("state: must be up, degraded, down or lost, or several of them with commas")
		}
		q.states = append(q.states, state)
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return q, fmt.Errorf("limit: must be a whole number from 1 to %d", maxLimit)
		}
		q.limit = n
	}
	return q, nil
}

// page returns the selected nodes by id, and whether the limit cut some off.
func (s *snapshot) page(q nodesQuery) (selected []*node.Node, more bool) {
	first := 0
	if q.after != "" {
		first = sort.Search(len(s.nodes), func(i int) bool { return s.nodes[i].ID > q.after })
	}
	matches := q.matcher()
	for _, n := range s.nodes[first:] {
		if !matches(n) {
			continue
		}
		if q.limit > 0 && len(selected) == q.limit {
			return selected, true
		}
		selected = append(selected, q.viewer.show(n))
	}
	return selected, false
}
