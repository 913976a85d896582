package web

import (
	"context"
	"errors"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// nodeOrders are the orders of the table as the store knows them.
var nodeOrders = map[string]nodestore.NodeQuery{
	"":      {Order: nodestore.OrderWorst},
	"id":    {Order: nodestore.OrderID},
	"since": {Order: nodestore.OrderSince, Reverse: true},
	"heard": {Order: nodestore.OrderHeard},
}

// selectNodes returns the nodes of one page, and the places before and after which its neighbours are, "" where there is
// none. A place that somebody made up is the beginning, and so is the page before that lacks rows.
func (s *Service) selectNodes(ctx context.Context, l look) (nodes []node.Node, previous, next string, err error) {
	q := nodeOrders[l.order]
	q.States, q.Search, q.Limit = l.states, l.search, pageRows+1
	if l.before != "" {
		back := q
		back.After, back.Reverse = l.before, !q.Reverse
		nodes, err = s.Store.Nodes(ctx, back)
		if err != nil && !errors.Is(err, nodestore.ErrAfter) {
			return nil, "", "", err
		}
		if err == nil && len(nodes) > pageRows {
			nodes = nodes[:pageRows]
			slices.Reverse(nodes)
			return nodes, q.Order.Key(&nodes[0]), q.Order.Key(&nodes[pageRows-1]), nil
		}
		l.after = ""
	}
	q.After = l.after
	nodes, err = s.Store.Nodes(ctx, q)
	if errors.Is(err, nodestore.ErrAfter) {
		q.After = ""
		nodes, err = s.Store.Nodes(ctx, q)
	}
	if err != nil {
		return nil, "", "", err
	}
	if q.After != "" {
		previous = q.After // of a page without rows, too
		if len(nodes) > 0 {
			previous = q.Order.Key(&nodes[0])
		}
	}
	if len(nodes) > pageRows {
		nodes = nodes[:pageRows]
		next = q.Order.Key(&nodes[pageRows-1])
	}
	return nodes, previous, next, nil
}
