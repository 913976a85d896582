package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

// chunk is how many rows one statement writes.
const chunk = 5000

// glance keeps who is fenced already from writing for nothing. It locks nothing and promises nothing: that is fence's.
const glance = `SELECT 1 / count(*) FROM partitions WHERE partition = $1 AND term = $2 AND epoch = $3 AND seq = $4`

// fence moves the position. Without the lease, or from another position, it divides by zero, which rolls back the
// whole pipeline. It stands last, since it locks the row that renewals of the lease change until the commit is through:
// writing very many nodes may take longer than the lease lasts.
const fence = `WITH fence AS (UPDATE partitions
		SET epoch = $1, created = $2, seq = $3, stamp = $4, clock = $5, committed_at = ` + now + `
		WHERE partition = $6 AND term = $7 AND epoch = $8 AND seq = $9 RETURNING 1)
	SELECT 1 / count(*) FROM fence`

// The arrays of the columns of a node.
const (
	keptTypes = `$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
		$16::text[], $17::bigint[], $18::text[]`
	nodeTypes   = keptTypes + `, $19::text[], $20::text[], $21::text[], $22::text[], $23::text[]`
	heardTypes  = `$1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]`
	judgedTypes = `$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]`
)

var (
	putNodes      = upsert("nodes", standardsql.NodeColumns, nodeTypes, "changed")
	putHeard      = update("nodes", standardsql.HeardColumns, heardTypes, "changed")
	putJudged     = update("nodes", standardsql.JudgedColumns, judgedTypes, "changed")
	putAltered    = update("nodes", standardsql.KeptColumns, keptTypes, "changed")
	putTombstones = upsert("deleted_nodes", "id, at", `$1::text[], $2::bigint[]`)
)

// update writes some columns of rows that are there, given as one array for each column, and then one bigint for each
// column that is the same in all rows. Each column costs: that of all kept ones takes three quarters of an upsert of a whole
// node, that of a state half of that.
func update(table, columns, arrays string, same ...string) string {
	names := standardsql.Names(columns)
	var sets []string
	for _, c := range names[1:] {
		sets = append(sets, c+" = u."+c)
	}
	for i, c := range same {
		sets = append(sets, fmt.Sprintf("%s = $%d::bigint", c, len(names)+1+i))
	}
	return fmt.Sprintf(`UPDATE %s t SET %s FROM unnest(%s) u (%s) WHERE t.id = u.id`,
		table, strings.Join(sets, ", "), arrays, columns)
}

// upsert writes rows given as one array for each column, then the partition, and then one bigint for each column that is
// the same in all rows.
func upsert(table, columns, arrays string, same ...string) string {
	names := standardsql.Names(columns)
	arguments := len(names) + 1
	into, values := columns+", partition", fmt.Sprintf("u.*, $%d::integer", arguments)
	for _, c := range same {
		arguments++
		into, values = into+", "+c, values+fmt.Sprintf(", $%d::bigint", arguments)
	}
	sets := make([]string, 0, len(names))
	for _, c := range append(names[1:], same...) {
		sets = append(sets, c+" = excluded."+c)
	}
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM unnest(%s) u
		ON CONFLICT (id) DO UPDATE SET %s`, table, into, values, arrays, strings.Join(sets, ", "))
}

// putEvents fails when one of the events is stored already, which is rare: to look for each first costs a third more. putNew
// leaves those out.
const (
	putEvents = `INSERT INTO events (` + standardsql.EventColumns + `, found) SELECT u.*, ` + now + ` FROM unnest(
	$1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
	$10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::boolean[],
	$18::bigint[], $19::text[], $20::text[], $21::text[]) u`
	putNew = putEvents + ` ON CONFLICT (id) DO NOTHING`
)

const putAnnotations = `INSERT INTO annotations (` + standardsql.AnnotationColumns + `, found)
	SELECT u.*, ` + now + ` FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[],
	$7::bigint[]) u ON CONFLICT (node_id, at, status) DO NOTHING`

// Commit implements nodestore.Writer. It is one round trip: the statements are one pipeline, hence one transaction. Where an
// event is stored already, it is another one.
func (s *store) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	p := c.Clock.Position
	c = standardsql.CleanChanges(c)
	err := s.commit(ctx, l, from, c, putEvents)
	if coded(err, uniqueViolation) {
		err = s.commit(ctx, l, from, c, putNew)
	}
	if err != nil {
		return fmt.Errorf("commit at %d:%d: %w", p.Epoch, p.Seq, err)
	}
	return nil
}

func (s *store) commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes, put string) error {
	batch, err := pipeline(l, from, c, put)
	if err != nil {
		return err
	}
	err = domain(ctx, s.send(ctx, batch))
	engine{s.pool}.leaveReadOnly(err)
	if lockTimedOut(err) { // rows of events or nodes, by an owner that froze within a commit
		err = errors.Join(err, s.endFrozen(ctx, l.Partition, l.Term))
	}
	return err
}

// pipeline is all of a commit; put is how its events are stored.
func pipeline(l nodestore.Lease, from node.Position, c node.Changes, put string) (*pgx.Batch, error) {
	clock, err := standardsql.EncodeClock(c.Clock)
	if err != nil {
		return nil, err
	}
	b, p := &pgx.Batch{}, c.Clock.Position
	b.Queue(glance, l.Partition, l.Term, from.Epoch, int64(from.Seq))
	// First, so that one that is stored already has cost little.
	for events := range slices.Chunk(c.Events, chunk) {
		arrays, err := eventArrays(events)
		if err != nil {
			return nil, err
		}
		b.Queue(put, arrays...)
	}
	for ids := range slices.Chunk(c.Removed, chunk) {
		b.Queue(`DELETE FROM nodes WHERE id = ANY ($1::text[]) AND partition = $2`, ids, l.Partition)
	}
	for nodes := range slices.Chunk(c.Nodes, chunk) {
		b.Queue(putNodes, append(nodeArrays(nodes), l.Partition, int64(p.Seq))...)
	}
	for heard := range slices.Chunk(c.Heard, chunk) {
		b.Queue(putHeard, append(heardArrays(heard), int64(p.Seq))...)
	}
	for judged := range slices.Chunk(c.Judged, chunk) {
		b.Queue(putJudged, append(judgedArrays(judged), int64(p.Seq))...)
	}
	for nodes := range slices.Chunk(c.Altered, chunk) {
		b.Queue(putAltered, append(keptArrays(nodes), int64(p.Seq))...)
	}
	queueTombstones(b, l.Partition, c.Deleted)
	for annotations := range slices.Chunk(c.Annotations, chunk) {
		b.Queue(putAnnotations, annotationArrays(annotations, l.Partition)...)
	}
	b.Queue(fence, p.Epoch, int64(p.Created), int64(p.Seq), int64(p.Stamp), clock,
		l.Partition, l.Term, from.Epoch, int64(from.Seq))
	return b, nil
}

func queueTombstones(b *pgx.Batch, partition int, deleted map[string]node.Stamp) {
	var gone, back []string
	var at []int64
	for _, id := range slices.Sorted(maps.Keys(deleted)) {
		if stamp := deleted[id]; stamp != 0 {
			gone, at = append(gone, id), append(at, int64(stamp))
		} else {
			back = append(back, id)
		}
	}
	if len(gone) > 0 {
		b.Queue(putTombstones, gone, at, partition)
	}
	if len(back) > 0 {
		b.Queue(`DELETE FROM deleted_nodes WHERE id = ANY ($1::text[]) AND partition = $2`, back, partition)
	}
}
