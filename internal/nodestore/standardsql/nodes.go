package standardsql

import (
	"context"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// NodeColumns are the columns of the table nodes but for the partition, in the order of ScanNode and NodeValues.
const NodeColumns = `id, name, ip, meta, state, reason, evidence, told, since, incident, joined, heard, heard_w,
	threshold, report_interval, boot_id, seq, agent_version, os, arch, metrics, workload, senders`

// NodeValues are the values of NodeColumns.
func NodeValues(n *node.Node) []any {
	return []any{
		n.ID, n.Name, n.IP, n.Meta, string(n.State), n.Reason, n.Evidence, string(n.Told),
		int64(n.Since), int64(n.Incident), int64(n.Joined), int64(n.Heard), int64(n.HeardW),
		int64(n.Threshold), int64(n.Interval), n.BootID, n.Seq,
		n.AgentVersion, n.OS, n.Arch, n.Metrics, n.Workload, n.Senders,
	}
}

func scanNode(scan func(...any) error) (n node.Node, err error) {
	err = scan(
		&n.ID, &n.Name, &n.IP, &n.Meta, &n.State, &n.Reason, &n.Evidence, &n.Told,
		&n.Since, &n.Incident, &n.Joined, &n.Heard, &n.HeardW,
		&n.Threshold, &n.Interval, &n.BootID, &n.Seq,
		&n.AgentVersion, &n.OS, &n.Arch, &n.Metrics, &n.Workload, &n.Senders,
	)
	return n, err
}

// Nodes implements nodestore.Reader.
func (s Store) Nodes(ctx context.Context, q nodestore.NodeQuery) (out []node.Node, err error) {
	query, args := selectNodes(q)
	matches := matcher(q.Search)
	err = s.read(ctx, "read nodes", func(tx session) error {
		return tx.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
			n, err := scanNode(scan)
			if err == nil && matches(&n) {
				out = append(out, n)
			}
			return q.Limit <= 0 || len(out) < q.Limit, err
		})
	})
	return out, err
}

// selectNodes leaves the search to matcher: only so do both engines, whatever the locale of the database, agree
// on what is upper and lower case.
func selectNodes(q nodestore.NodeQuery) (query string, args []any) {
	query = "SELECT " + NodeColumns + " FROM nodes WHERE TRUE"
	if q.ID != "" {
		args = append(args, q.ID)
		query += " AND id = $1"
	}
	if q.After != "" {
		args = append(args, q.After)
		query += " AND id > $" + strconv.Itoa(len(args))
	}
	if len(q.States) > 0 {
		query += " AND state IN (" + placeholders(len(args)+1, len(q.States)) + ")"
		for _, s := range q.States {
			args = append(args, string(s))
		}
	}
	query += " ORDER BY id"
	if q.Limit > 0 && q.Search == "" {
		query += " LIMIT " + strconv.Itoa(q.Limit)
	}
	return query, args
}

func matcher(search string) func(n *node.Node) bool {
	want := strings.ToLower(Clean(search))
	return func(n *node.Node) bool {
		if want == "" {
			return true
		}
		for _, s := range [...]string{n.ID, n.Name, n.IP, n.Meta, n.Reason} {
			if strings.Contains(strings.ToLower(s), want) {
				return true
			}
		}
		return false
	}
}
