package standardsql

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// Clean makes a string one that every engine can store: Postgres takes no NUL and no invalid UTF-8. Each of them
// becomes U+FFFD, so that it stays visible that something was there.
func Clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// CleanArgs cleans the strings among the arguments of a query, in place.
func CleanArgs(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = Clean(s)
		}
	}
	return args
}

// CleanChanges returns the changes as they can be stored, with the nodes by id. It leaves c as it is. Of two nodes
// whose ids are the same once cleaned, the later one is kept; of two that were heard or judged, either may be.
func CleanChanges(c node.Changes) node.Changes {
	c.Nodes, c.Altered = cleanNodes(c.Nodes), cleanNodes(c.Altered)
	c.Heard = slices.Clone(c.Heard)
	for i := range c.Heard {
		h := &c.Heard[i]
		h.ID, h.Metrics, h.Workload = Clean(h.ID), Clean(h.Metrics), Clean(h.Workload)
	}
	c.Judged = slices.Clone(c.Judged)
	for i := range c.Judged {
		j := &c.Judged[i]
		j.ID, j.Reason, j.Evidence = Clean(j.ID), Clean(j.Reason), Clean(j.Evidence)
		j.State, j.Told = node.State(Clean(string(j.State))), node.State(Clean(string(j.Told)))
	}
	c.Events = slices.Clone(c.Events)
	for i := range c.Events {
		c.Events[i] = CleanEvent(c.Events[i])
	}
	c.Annotations = slices.Clone(c.Annotations)
	for i := range c.Annotations {
		cleanAnnotation(&c.Annotations[i])
	}
	c.Removed = slices.Clone(c.Removed)
	for i, id := range c.Removed {
		c.Removed[i] = Clean(id)
	}
	deleted := make(map[string]node.Stamp, len(c.Deleted))
	for _, id := range slices.Sorted(maps.Keys(c.Deleted)) {
		deleted[Clean(id)] = c.Deleted[id]
	}
	c.Deleted = deleted
	return c
}

func cleanNodes(nodes []node.Node) []node.Node {
	out := slices.Clone(nodes)
	for i := range out {
		cleanNode(&out[i])
	}
	if ordered(out) {
		return out // as a rule: the fold has every id once, in this order
	}
	slices.SortStableFunc(out, func(a, b node.Node) int { return strings.Compare(a.ID, b.ID) })
	slices.Reverse(out) // CompactFunc keeps the first of equals
	out = slices.CompactFunc(out, func(a, b node.Node) bool { return a.ID == b.ID })
	slices.Reverse(out)
	return out
}

// ordered reports whether each id is greater than the one before.
func ordered(nodes []node.Node) bool {
	for i := 1; i < len(nodes); i++ {
		if nodes[i-1].ID >= nodes[i].ID {
			return false
		}
	}
	return true
}

func cleanNode(n *node.Node) {
	for _, s := range []*string{
		&n.ID, &n.Name, &n.IP, &n.Meta, &n.Reason, &n.Evidence, &n.BootID,
		&n.AgentVersion, &n.OS, &n.Arch, &n.Metrics, &n.Workload, &n.Senders,
	} {
		*s = Clean(*s)
	}
	n.State, n.Told = node.State(Clean(string(n.State))), node.State(Clean(string(n.Told)))
}

func cleanAnnotation(a *node.Annotation) {
	for _, s := range []*string{&a.NodeID, &a.Status, &a.Reason, &a.Evidence} {
		*s = Clean(*s)
	}
}

// CleanEvent returns the event as it can be stored.
func CleanEvent(e node.Event) node.Event {
	for _, s := range []*string{&e.NodeID, &e.Name, &e.IP, &e.Reason, &e.Evidence, &e.By, &e.Meta} {
		*s = Clean(*s)
	}
	e.Kind = node.Kind(Clean(string(e.Kind)))
	e.From, e.To = node.State(Clean(string(e.From))), node.State(Clean(string(e.To)))
	return e
}
