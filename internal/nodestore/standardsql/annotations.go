package standardsql

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// AnnotationColumns are the columns of the table annotations but for found, in the order of AnnotationValues.
const AnnotationColumns = `node_id, partition, at, status, reason, evidence, heard`

// AnnotationValues are the values of AnnotationColumns.
func AnnotationValues(a *node.Annotation, partition int) []any {
	return []any{a.NodeID, partition, int64(a.At), a.Status, a.Reason, a.Evidence, int64(a.Heard)}
}

// InsertAnnotation is the statement that stores AnnotationValues, unless it is stored already. {now} is left in it.
var InsertAnnotation = `INSERT INTO annotations (` + AnnotationColumns + `, found) VALUES (` + placeholders(1, 7) + `, {now})
	ON CONFLICT (node_id, at, status) DO NOTHING`

// Annotations implements nodestore.Reader.
func (s Store) Annotations(ctx context.Context, nodeID string, limit int) (out []node.Annotation, err error) {
	err = s.read(ctx, "read annotations", func(tx session) error {
		return tx.each(ctx, `SELECT node_id, at, status, reason, evidence, heard FROM annotations
			WHERE node_id = $1 ORDER BY at DESC, status DESC LIMIT $2`, []any{nodeID, limit},
			func(scan func(...any) error) (bool, error) {
				var a node.Annotation
				err := scan(&a.NodeID, &a.At, &a.Status, &a.Reason, &a.Evidence, &a.Heard)
				out = append(out, a)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// pruneAnnotations deletes at most limit of those found more than age ago, and at most limit of those that their node has
// newer ones of than it may keep. It returns how many, whichever are more.
func pruneAnnotations(ctx context.Context, tx session, partition int, age time.Duration, limit int) (int, error) {
	old, err := tx.exec(ctx, `DELETE FROM annotations WHERE (node_id, at, status) IN
		(SELECT node_id, at, status FROM annotations WHERE partition = $1 AND found < {now} - $2
		ORDER BY found LIMIT $3)`, partition, int64(age), limit)
	if err != nil {
		return 0, err
	}
	many, err := tx.exec(ctx, `DELETE FROM annotations WHERE (node_id, at, status) IN
		(SELECT node_id, at, status FROM
			(SELECT node_id, at, status, row_number() OVER (PARTITION BY node_id ORDER BY at DESC, status DESC) AS place
			FROM annotations WHERE node_id IN
				(SELECT node_id FROM annotations WHERE partition = $1 GROUP BY node_id HAVING count(*) > $2)) AS placed
		WHERE place > $2 LIMIT $3)`, partition, nodestore.MaxAnnotations, limit)
	return int(max(old, many)), err
}
