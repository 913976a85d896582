package web

import (
	"context"
	markup "html"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// badgePath is where the badges of nodes are; that of all is beside it.
const badgePath = "/badge"

// maxLabel is how much of a name stands on a badge, in characters.
const maxLabel = 40

// Colours of badges. White text on each has the contrast that WCAG AA asks for.
var badgeColours = map[node.State]string{
	node.Up: "#1a7f37", node.Degraded: "#8a5a00", node.Down: "#b3261e", node.Lost: "#b3261e", "": "#57606a",
}

// badge is a picture of two words: what it is about, and how that is.
type badge struct {
	label, value string
	state        node.State // its colour; "" when nothing is known
}

// getBadge answers how many nodes are up.
func (s *Service) getBadge(w http.ResponseWriter, r *http.Request) {
	words := statusWordsFor(r)
	at, err := s.standing.get(r.Context())
	if err != nil {
		s.writeBadge(w, r, badge{words.Nodes, words.Unknown, ""})
		return
	}
	sum := newTally(at)
	b := badge{label: words.Nodes, value: words.count(sum), state: sum.worst()}
	switch {
	case at.staleness(at.now(s.Now())) > 0:
		b.value, b.state = words.Unknown, ""
	case sum.all == 0:
		b.value = words.None
	}
	s.writeBadge(w, r, b)
}

// getNodeBadge answers how one node is: /badge/<node_id>.svg.
func (s *Service) getNodeBadge(w http.ResponseWriter, r *http.Request) {
	words := statusWordsFor(r)
	id, svg := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, badgePath+"/"), ".svg")
	if !svg {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	at, err := s.standing.get(r.Context())
	var n *node.Node
	if err == nil {
		n, err = s.findShown(r.Context(), id)
	}
	switch {
	case err != nil:
		s.writeBadge(w, r, badge{shortened(id), words.Unknown, ""})
	case n == nil:
		detail(w, http.StatusNotFound, "no such node")
	case at.staleness(at.now(s.Now())) > 0:
		s.writeBadge(w, r, badge{shortened(displayName(n)), words.Unknown, ""})
	default:
		s.writeBadge(w, r, badge{shortened(displayName(n)), words.state(n.State), n.State})
	}
}

// findShown is one node, nil when there is none.
func (s *Service) findShown(ctx context.Context, id string) (*node.Node, error) {
	if id == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	found, err := s.Store.Nodes(ctx, nodestore.NodeQuery{ID: id})
	if err != nil {
		s.note(err)
		return nil, err
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

func displayName(n *node.Node) string {
	if n.Name != "" {
		return n.Name
	}
	return n.ID
}

func shortened(name string) string {
	if utf8.RuneCountInString(name) <= maxLabel {
		return name
	}
	return string([]rune(name)[:maxLabel-1]) + "…"
}

func (s *Service) writeBadge(w http.ResponseWriter, r *http.Request, b badge) {
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml; charset=utf-8")
	// Sites that show the picture for others keep it for as long as they may.
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Add("Vary", "Accept-Language, Authorization, Cookie")
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.svg()) // the client went away
	}
}

// svg draws the badge. The widths of the texts are told, so that they fit whatever font there is.
func (b badge) svg() []byte {
	const pad, height = 6, 20
	left, right := textWidth(b.label), textWidth(b.value)
	split, width := left+2*pad, left+right+4*pad
	label, value := markup.EscapeString(b.label), markup.EscapeString(b.value)
	name := label + ": " + value
	colour, known := badgeColours[b.state]
	if !known {
		colour = badgeColours[node.Down] // of a state that only a newer program knows
	}
	n := strconv.Itoa
	text := func(x, long int, what string) string {
		return `<text x="` + n(x) + `" y="14" textLength="` + n(long) + `" lengthAdjust="spacingAndGlyphs">` + what + `</text>`
	}
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="` + n(width) + `" height="` + n(height) + `" role="img" aria-label="` + name + `">` +
		`<title>` + name + `</title>` +
		`<rect width="` + n(width) + `" height="` + n(height) + `" rx="3" fill="` + colour + `"/>` +
		`<path d="M3 0H` + n(split) + `V` + n(height) + `H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#24292f"/>` +
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">` +
		text(pad, left, label) + text(split+pad, right, value) + "</g></svg>\n")
}

// textWidth is about how wide a text is in Verdana of 11 pixels.
func textWidth(s string) int {
	tenths := 0
	for _, r := range s {
		switch {
		case strings.ContainsRune("fijlrtI.,:;|!'()[] ", r):
			tenths += 42
		case strings.ContainsRune("mwMWшщжюмфШЩЖЮМФ@%", r):
			tenths += 104
		case 'A' <= r && r <= 'Z', 'А' <= r && r <= 'Я':
			tenths += 78
		default:
			tenths += 69
		}
	}
	return tenths/10 + 1
}
