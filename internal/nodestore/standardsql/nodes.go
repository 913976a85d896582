package standardsql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// KeptColumns are the columns of the table nodes that a fold keeps in memory, in the order of KeptValues. The partition and
// changed are no part of a node.
const KeptColumns = `id, name, ip, meta, state, reason, evidence, told, since, incident, joined, heard, heard_w,
	threshold, report_interval, boot_id, seq, senders`

// NodeColumns are all columns of a node, in the order of NodeValues.
const NodeColumns = KeptColumns + `, agent_version, os, arch, metrics, workload`

// HeardColumns are those that every heartbeat changes, after the key, in the order of HeardValues.
const HeardColumns = `id, heard, heard_w, seq, metrics, workload`

// JudgedColumns are those that a change of state changes, after the key, in the order of JudgedValues.
const JudgedColumns = `id, state, reason, evidence, told, since, incident`

// Names are the columns of a list, the key first.
func Names(columns string) []string {
	names := strings.Split(columns, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// KeptValues are the values of KeptColumns.
func KeptValues(n *node.Node) []any {
	return []any{
		n.ID, n.Name, n.IP, n.Meta, string(n.State), n.Reason, n.Evidence, string(n.Told),
		int64(n.Since), int64(n.Incident), int64(n.Joined), int64(n.Heard), int64(n.HeardW),
		int64(n.Threshold), int64(n.Interval), n.BootID, n.Seq, n.Senders,
	}
}

// NodeValues are the values of NodeColumns.
func NodeValues(n *node.Node) []any {
	return append(KeptValues(n), n.AgentVersion, n.OS, n.Arch, n.Metrics, n.Workload)
}

// HeardValues are the values of HeardColumns.
func HeardValues(h *node.Heard) []any {
	return []any{h.ID, int64(h.Heard), int64(h.HeardW), h.Seq, h.Metrics, h.Workload}
}

// JudgedValues are the values of JudgedColumns.
func JudgedValues(j *node.Judged) []any {
	return []any{j.ID, string(j.State), j.Reason, j.Evidence, string(j.Told), int64(j.Since), int64(j.Incident)}
}

// keptPlaces are where KeptColumns are scanned to.
func keptPlaces(n *node.Node) []any {
	return []any{
		&n.ID, &n.Name, &n.IP, &n.Meta, &n.State, &n.Reason, &n.Evidence, &n.Told,
		&n.Since, &n.Incident, &n.Joined, &n.Heard, &n.HeardW,
		&n.Threshold, &n.Interval, &n.BootID, &n.Seq, &n.Senders,
	}
}

func scanNode(scan func(...any) error) (n node.Node, err error) {
	err = scan(append(keptPlaces(&n), &n.AgentVersion, &n.OS, &n.Arch, &n.Metrics, &n.Workload)...)
	return n, err
}

// Nodes implements nodestore.Reader.
func (s Store) Nodes(ctx context.Context, q nodestore.NodeQuery) (out []node.Node, err error) {
	sel, err := selectNodes(q)
	if err != nil {
		return nil, wrap("read nodes", err)
	}
	err = s.read(ctx, "read nodes", func(tx session) error {
		return tx.each(ctx, sel.query, sel.args, func(scan func(...any) error) (bool, error) {
			n, err := scanNode(scan)
			if err == nil && (sel.matches == nil || sel.matches(&n)) {
				out = append(out, n)
			}
			return q.Limit <= 0 || len(out) < q.Limit, err
		})
	})
	return out, err
}

// selection is a query under way. matches is what the database cannot be asked, if there is such a thing.
type selection struct {
	query   string
	args    []any
	matches func(n *node.Node) bool
}

// arg adds an argument and returns its placeholder.
func (s *selection) arg(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

// where adds a condition.
func (s *selection) where(condition string) { s.query += " AND " + condition }

// rank is nodestore.Rank, word for word the expression of the index nodes_worst.
const rank = `(CASE state WHEN 'down' THEN 1 WHEN 'lost' THEN 2 WHEN 'degraded' THEN 3 WHEN 'up' THEN 4 ELSE 0 END)`

// orders are the expressions that stand before the id. {bytes} is left in them.
var orders = map[nodestore.Order]string{
	nodestore.OrderWorst: rank, nodestore.OrderSince: "since", nodestore.OrderHeard: "heard",
	nodestore.OrderJoined: "joined", nodestore.OrderName: "name{bytes}", nodestore.OrderAddress: "ip{bytes}",
}

func selectNodes(q nodestore.NodeQuery) (selection, error) {
	sel := selection{query: "SELECT " + NodeColumns + " FROM nodes WHERE TRUE"}
	if q.ID != "" {
		sel.where("id = " + sel.arg(q.ID))
	}
	if q.ChangedSince > 0 {
		sel.where("changed > " + sel.arg(int64(q.ChangedSince)))
	}
	sel.states(q)
	sel.search(q.Search, q.NoAddresses)
	if err := sel.order(q); err != nil {
		return sel, err
	}
	if q.Limit > 0 && sel.matches == nil {
		sel.query += " LIMIT " + strconv.Itoa(q.Limit)
	}
	return sel, nil
}

// states asks for the states by rank where the index on it helps: where it has the order, too, or where few nodes are
// likely to be in them, which are quickly put in another order. Of unknown states a rank does not say which.
func (s *selection) states(q nodestore.NodeQuery) {
	if len(q.States) == 0 {
		return
	}
	common := slices.Contains(q.States, node.Up)
	ordered := q.Order == nodestore.OrderWorst || len(q.States) == 1 && (q.Order == nodestore.OrderID || q.Order == "")
	unknown := false
	var names, ranks []string
	for _, state := range q.States {
		r := nodestore.Rank(state)
		ranks = append(ranks, strconv.Itoa(r))
		unknown = unknown || r == 0
	}
	if ordered || !common {
		s.where(rank + " IN (" + strings.Join(ranks, ",") + ")")
		if !unknown {
			return
		}
	}
	for _, state := range q.States {
		names = append(names, s.arg(string(state)))
	}
	s.where("state IN (" + strings.Join(names, ",") + ")")
}

func (s *selection) order(q nodestore.NodeQuery) error {
	expression, more, way := orders[q.Order], ">", ""
	if expression == "" && q.Order != nodestore.OrderID && q.Order != "" {
		return fmt.Errorf("order %q: there is none", q.Order)
	}
	if q.Reverse {
		more, way = "<", " DESC"
	}
	if q.After != "" {
		value, id, err := q.Order.SplitKey(q.After)
		switch {
		case err != nil:
			return err
		case value == nil:
			s.where("id " + more + " " + s.arg(id))
		default:
			s.where("(" + expression + ", id) " + more + " (" + s.arg(value) + ", " + s.arg(id) + ")")
		}
	}
	s.query += " ORDER BY "
	if expression != "" {
		s.query += expression + way + ", "
	}
	s.query += "id" + way
	return nil
}
