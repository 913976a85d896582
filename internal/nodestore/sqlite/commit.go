package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

// statement is one step of a commit, prepared once.
type statement int

const (
	fence statement = iota
	removeNode
	putNode
	putHeard
	putJudged
	putAltered
	putTombstone
	removeTombstone
	putEvent
	putAnnotation
	statementCount
)

type statements []*sql.Stmt

var texts = [statementCount]string{
	fence: `UPDATE partitions SET epoch = ?, created = ?, seq = ?, stamp = ?, clock = ?, committed_at = ?
		WHERE partition = ? AND term = ? AND epoch = ? AND seq = ?`,
	removeNode:      `DELETE FROM nodes WHERE id = ? AND partition = ?`,
	putNode:         putNodeText(),
	putHeard:        updateText(standardsql.HeardColumns),
	putJudged:       updateText(standardsql.JudgedColumns),
	putAltered:      updateText(standardsql.KeptColumns),
	putTombstone:    `INSERT INTO deleted_nodes (id, partition, at) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at`,
	removeTombstone: `DELETE FROM deleted_nodes WHERE id = ? AND partition = ?`,
	putEvent:        strings.ReplaceAll(standardsql.InsertEvent, "{now}", "$22"),
	putAnnotation:   strings.ReplaceAll(standardsql.InsertAnnotation, "{now}", "$8"),
}

// putNodeText inserts a node with all its columns, or overwrites all but its key.
func putNodeText() string {
	columns := standardsql.Names(standardsql.NodeColumns)
	sets := make([]string, 0, len(columns))
	for _, c := range columns[1:] {
		sets = append(sets, c+" = excluded."+c)
	}
	return `INSERT INTO nodes (` + standardsql.NodeColumns + `, changed, partition) VALUES (?` +
		strings.Repeat(", ?", len(columns)+1) + `) ON CONFLICT (id) DO UPDATE SET changed = excluded.changed, ` + strings.Join(sets, ", ")
}

// updateText sets some columns of a node that is there. Their arguments are numbered, since the key comes first in them.
func updateText(columns string) string {
	names := standardsql.Names(columns)
	sets := []string{fmt.Sprintf("changed = ?%d", len(names)+1)}
	for i, c := range names[1:] {
		sets = append(sets, fmt.Sprintf("%s = ?%d", c, i+2))
	}
	return `UPDATE nodes SET ` + strings.Join(sets, ", ") + ` WHERE id = ?1`
}

func prepare(ctx context.Context, db *sql.DB) (out statements, err error) {
	for _, text := range texts {
		s, err := db.PrepareContext(ctx, text) //nolint:sqlclosecheck // closed with the database
		if err != nil {
			return out, fmt.Errorf("prepare %q: %w", text, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// Commit implements nodestore.Writer.
func (s *store) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	clock, err := standardsql.EncodeClock(c.Clock)
	if err != nil {
		return err
	}
	c = standardsql.CleanChanges(c)
	err = s.engine.transact(ctx, s.engine.writer, func(tx *sql.Tx) error {
		w := commit{ctx: ctx, partition: l.Partition, now: s.engine.now().UnixNano()}
		for _, stmt := range s.commit {
			w.statements = append(w.statements, tx.StmtContext(ctx, stmt))
		}
		p := c.Clock.Position
		if w.exec(fence, p.Epoch, int64(p.Created), int64(p.Seq), int64(p.Stamp), clock, w.now,
			l.Partition, l.Term, from.Epoch, int64(from.Seq)) == 0 && w.err == nil {
			return nodestore.ErrFenced
		}
		w.write(c)
		return w.err
	})
	if err != nil {
		return fmt.Errorf("commit at %d:%d: %w", c.Clock.Position.Epoch, c.Clock.Position.Seq, err)
	}
	return nil
}

// commit is one commit under way. After the first error it does nothing more.
type commit struct {
	ctx        context.Context
	statements statements
	partition  int
	now        int64
	err        error
}

// exec returns how many rows a statement changed.
func (w *commit) exec(s statement, args ...any) (n int64) {
	if w.err != nil {
		return 0
	}
	r, err := w.statements[s].ExecContext(w.ctx, args...)
	if err == nil {
		n, err = r.RowsAffected()
	}
	w.err = err
	return n
}

func (w *commit) write(c node.Changes) {
	for _, id := range c.Removed {
		w.exec(removeNode, id, w.partition)
	}
	for i := range c.Nodes {
		w.exec(putNode, append(standardsql.NodeValues(&c.Nodes[i]), int64(c.Clock.Position.Seq), w.partition)...)
	}
	for i := range c.Heard {
		w.exec(putHeard, append(standardsql.HeardValues(&c.Heard[i]), int64(c.Clock.Position.Seq))...)
	}
	for i := range c.Judged {
		w.exec(putJudged, append(standardsql.JudgedValues(&c.Judged[i]), int64(c.Clock.Position.Seq))...)
	}
	for i := range c.Altered {
		w.exec(putAltered, append(standardsql.KeptValues(&c.Altered[i]), int64(c.Clock.Position.Seq))...)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Deleted)) {
		if at := c.Deleted[id]; at != 0 {
			w.exec(putTombstone, id, w.partition, int64(at))
		} else {
			w.exec(removeTombstone, id, w.partition)
		}
	}
	for i := range c.Events {
		values, err := standardsql.EventValues(&c.Events[i])
		if err != nil {
			w.err = err
			return
		}
		w.exec(putEvent, append(values, w.now)...)
	}
	for i := range c.Annotations {
		w.exec(putAnnotation, append(standardsql.AnnotationValues(&c.Annotations[i], w.partition), w.now)...)
	}
}
