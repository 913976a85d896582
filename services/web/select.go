package web

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// rank is the place of a state on the page: what does not work comes first.
func rank(s node.State) int {
	switch s {
	case node.Up:
		return 2
	case node.Degraded:
		return 1
	default:
		return 0
	}
}

func (s *Service) selectNodes(ctx context.Context, l look) (out []node.Node, next string, err error) {
	snap, err := s.view.get(ctx)
	if err != nil {
		return nil, "", err
	}
	matches := l.matcher()
	for i := range snap.nodes {
		if matches(&snap.nodes[i]) {
			out = append(out, snap.nodes[i])
		}
	}
	slices.SortStableFunc(out, func(a, b node.Node) int {
		switch l.order {
		case "since":
			return cmp.Or(cmp.Compare(b.Since, a.Since), strings.Compare(a.ID, b.ID))
		case "heard":
			return cmp.Or(cmp.Compare(b.Heard, a.Heard), strings.Compare(a.ID, b.ID))
		case "id":
			return strings.Compare(a.ID, b.ID)
		}
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), strings.Compare(a.ID, b.ID))
	})
	if i := slices.IndexFunc(out, func(n node.Node) bool { return n.ID == l.after }); i >= 0 {
		out = out[i+1:]
	}
	if len(out) > pageRows {
		out = out[:pageRows]
		next = out[pageRows-1].ID
	}
	return out, next, nil
}
