package web

import (
	"context"
	"errors"

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

// selectNodes returns the nodes of one page, and the place after which the next one begins, "" when there is none. A
// place that somebody made up is the beginning.
func (s *Service) selectNodes(ctx context.Context, l look) (nodes []node.Node, next string, err error) {
	q := nodeOrders[l.order]
	q.States, q.Search, q.After, q.Limit = l.states, l.search, l.after, pageRows+1
	nodes, err = s.Store.Nodes(ctx, q)
	if errors.Is(err, nodestore.ErrAfter) {
		q.After = ""
		nodes, err = s.Store.Nodes(ctx, q)
	}
	if err != nil {
		return nil, "", err
	}
	if len(nodes) > pageRows {
		nodes = nodes[:pageRows]
		next = q.Order.Key(&nodes[pageRows-1])
	}
	return nodes, next, nil
}
