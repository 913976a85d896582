package postgres

import (
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

// column takes one value of every row: unnest wants an array for each column.
func column[R, V any](rows []R, value func(*R) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = value(&rows[i])
	}
	return out
}

// keptArrays are the columns of standardsql.KeptColumns.
func keptArrays(nodes []node.Node) []any {
	text := func(value func(*node.Node) string) []string { return column(nodes, value) }
	number := func(value func(*node.Node) int64) []int64 { return column(nodes, value) }
	return []any{
		text(func(n *node.Node) string { return n.ID }),
		text(func(n *node.Node) string { return n.Name }),
		text(func(n *node.Node) string { return n.IP }),
		text(func(n *node.Node) string { return n.Meta }),
		text(func(n *node.Node) string { return string(n.State) }),
		text(func(n *node.Node) string { return n.Reason }),
		text(func(n *node.Node) string { return n.Evidence }),
		text(func(n *node.Node) string { return string(n.Told) }),
		number(func(n *node.Node) int64 { return int64(n.Since) }),
		number(func(n *node.Node) int64 { return int64(n.Incident) }),
		number(func(n *node.Node) int64 { return int64(n.Joined) }),
		number(func(n *node.Node) int64 { return int64(n.Heard) }),
		number(func(n *node.Node) int64 { return int64(n.HeardW) }),
		number(func(n *node.Node) int64 { return int64(n.Threshold) }),
		number(func(n *node.Node) int64 { return int64(n.Interval) }),
		text(func(n *node.Node) string { return n.BootID }),
		number(func(n *node.Node) int64 { return n.Seq }),
		text(func(n *node.Node) string { return n.Senders }),
	}
}

// nodeArrays are the columns of standardsql.NodeColumns.
func nodeArrays(nodes []node.Node) []any {
	text := func(value func(*node.Node) string) []string { return column(nodes, value) }
	return append(keptArrays(nodes),
		text(func(n *node.Node) string { return n.AgentVersion }),
		text(func(n *node.Node) string { return n.OS }),
		text(func(n *node.Node) string { return n.Arch }),
		text(func(n *node.Node) string { return n.Metrics }),
		text(func(n *node.Node) string { return n.Workload }),
	)
}

// heardArrays are the columns of standardsql.HeardColumns.
func heardArrays(heard []node.Heard) []any {
	return []any{
		column(heard, func(h *node.Heard) string { return h.ID }),
		column(heard, func(h *node.Heard) int64 { return int64(h.Heard) }),
		column(heard, func(h *node.Heard) int64 { return int64(h.HeardW) }),
		column(heard, func(h *node.Heard) int64 { return h.Seq }),
		column(heard, func(h *node.Heard) string { return h.Metrics }),
		column(heard, func(h *node.Heard) string { return h.Workload }),
	}
}

// judgedArrays are the columns of standardsql.JudgedColumns.
func judgedArrays(judged []node.Judged) []any {
	return []any{
		column(judged, func(j *node.Judged) string { return j.ID }),
		column(judged, func(j *node.Judged) string { return string(j.State) }),
		column(judged, func(j *node.Judged) string { return j.Reason }),
		column(judged, func(j *node.Judged) string { return j.Evidence }),
		column(judged, func(j *node.Judged) string { return string(j.Told) }),
		column(judged, func(j *node.Judged) int64 { return int64(j.Since) }),
		column(judged, func(j *node.Judged) int64 { return int64(j.Incident) }),
	}
}

// eventArrays are the columns of standardsql.EventColumns.
func eventArrays(events []node.Event) ([]any, error) {
	refused := make([]string, len(events))
	for i := range events {
		var err error
		if refused[i], err = standardsql.EncodeRefused(events[i].Refused); err != nil {
			return nil, err
		}
	}
	text := func(value func(*node.Event) string) []string { return column(events, value) }
	number := func(value func(*node.Event) int64) []int64 { return column(events, value) }
	return []any{
		text(func(e *node.Event) string { return e.ID.String() }),
		number(func(e *node.Event) int64 { return int64(e.ID.Partition) }),
		number(func(e *node.Event) int64 { return e.ID.Epoch }),
		number(func(e *node.Event) int64 { return int64(e.ID.Seq) }),
		number(func(e *node.Event) int64 { return int64(e.ID.Ordinal) }),
		text(func(e *node.Event) string { return string(e.Kind) }),
		text(func(e *node.Event) string { return e.NodeID }),
		text(func(e *node.Event) string { return e.Name }),
		text(func(e *node.Event) string { return e.IP }),
		text(func(e *node.Event) string { return string(e.From) }),
		text(func(e *node.Event) string { return string(e.To) }),
		text(func(e *node.Event) string { return e.Reason }),
		text(func(e *node.Event) string { return e.Evidence }),
		number(func(e *node.Event) int64 { return int64(e.At) }),
		number(func(e *node.Event) int64 { return int64(e.Since) }),
		number(func(e *node.Event) int64 { return int64(e.Lasted) }),
		column(events, func(e *node.Event) bool { return e.Quiet }),
		number(func(e *node.Event) int64 { return int64(e.Nodes) }),
		refused,
		text(func(e *node.Event) string { return e.By }),
		text(func(e *node.Event) string { return e.Meta }),
	}, nil
}

// annotationArrays are the columns of standardsql.AnnotationColumns.
func annotationArrays(annotations []node.Annotation, partition int) []any {
	text := func(value func(*node.Annotation) string) []string { return column(annotations, value) }
	number := func(value func(*node.Annotation) int64) []int64 { return column(annotations, value) }
	return []any{
		text(func(a *node.Annotation) string { return a.NodeID }),
		number(func(*node.Annotation) int64 { return int64(partition) }),
		number(func(a *node.Annotation) int64 { return int64(a.At) }),
		text(func(a *node.Annotation) string { return a.Status }),
		text(func(a *node.Annotation) string { return a.Reason }),
		text(func(a *node.Annotation) string { return a.Evidence }),
		number(func(a *node.Annotation) int64 { return int64(a.Heard) }),
	}
}
