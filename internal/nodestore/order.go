package nodestore

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// Order is what nodes are ordered by. A page of any of the first three costs the same however many nodes there are; the
// others are sought among all nodes.
type Order string

// The orders.
const (
	OrderID    Order = "id"
	OrderWorst Order = "worst" // by Rank of their states
	OrderSince Order = "since" // when their state was entered

	OrderHeard   Order = "heard" // when they were last heard: every heartbeat changes it, so it has no index
	OrderJoined  Order = "joined"
	OrderName    Order = "name"
	OrderAddress Order = "address"
)

// Rank orders states, the worst first: down, lost, degraded, up. A state that only a newer program knows comes before all.
func Rank(s node.State) int {
	switch s {
	case node.Down:
		return 1
	case node.Lost:
		return 2
	case node.Degraded:
		return 3
	case node.Up:
		return 4
	default:
		return 0
	}
}

// Key is the place of a node in the order, for NodeQuery.After. That of OrderID is the id itself. It says where to go on
// also when the node was changed or deleted meanwhile.
func (o Order) Key(n *node.Node) string {
	var value string
	switch o {
	case OrderWorst:
		value = strconv.Itoa(Rank(n.State))
	case OrderSince:
		value = strconv.FormatInt(int64(n.Since), 10)
	case OrderHeard:
		value = strconv.FormatInt(int64(n.Heard), 10)
	case OrderJoined:
		value = strconv.FormatInt(int64(n.Joined), 10)
	case OrderName:
		value = url.QueryEscape(n.Name)
	case OrderAddress:
		value = url.QueryEscape(n.IP)
	default:
		return n.ID
	}
	return value + "," + n.ID
}

// SplitKey is the opposite of Key: the value by which nodes are ordered, an int64 or a string, and the id. ErrAfter when
// key is none of this order. The value of OrderID is nil.
func (o Order) SplitKey(key string) (value any, id string, err error) {
	if o == OrderID || o == "" {
		return nil, key, nil
	}
	text, id, ok := strings.Cut(key, ",")
	if !ok {
		return nil, "", ErrAfter
	}
	switch o {
	case OrderName, OrderAddress:
		value, err = url.QueryUnescape(text)
	case OrderWorst, OrderSince, OrderHeard, OrderJoined:
		value, err = strconv.ParseInt(text, 10, 64)
	default:
		return nil, "", ErrAfter
	}
	if err != nil {
		return nil, "", ErrAfter
	}
	return value, id, nil
}
