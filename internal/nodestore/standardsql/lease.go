package standardsql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Acquire implements nodestore.Writer.
func (s Store) Acquire(ctx context.Context, partition int, owner string, ttl time.Duration, initial node.Settings) (nodestore.Lease, error) {
	l := nodestore.Lease{Partition: partition, Owner: owner}
	clock, err := EncodeClock(node.Clock{Settings: initial})
	if err != nil {
		return nodestore.Lease{}, err
	}
	op, here := fmt.Sprintf("acquire partition %d", partition), partitionSeat(partition)
	from, err := s.free(ctx, here, owner, ttl)
	if err != nil {
		return nodestore.Lease{}, wrap(op, err)
	}
	err = s.write(ctx, op, func(tx session) (err error) {
		if _, err := tx.exec(ctx, `INSERT INTO partitions
			(partition, owner, term, expires_at, epoch, created, seq, stamp, committed_at, clock)
			VALUES ($1, '', 0, 0, 1, 0, 0, 0, {now}, $2) ON CONFLICT (partition) DO NOTHING`, partition, clock); err != nil {
			return err
		}
		l.Term, err = here.take(ctx, tx, owner, ttl, from)
		return err
	})
	if err != nil {
		return nodestore.Lease{}, err
	}
	return l, nil
}

// Renew implements nodestore.Writer.
func (s Store) Renew(ctx context.Context, l nodestore.Lease, ttl time.Duration) error {
	return s.write(ctx, fmt.Sprintf("renew the lease of partition %d", l.Partition), func(tx session) error {
		return partitionSeat(l.Partition).renew(ctx, tx, l.Term, ttl)
	})
}

// Release implements nodestore.Writer.
func (s Store) Release(ctx context.Context, l nodestore.Lease) error {
	err := s.write(ctx, fmt.Sprintf("release partition %d", l.Partition), func(tx session) error {
		return partitionSeat(l.Partition).release(ctx, tx, l.Term)
	})
	if errors.Is(err, nodestore.ErrFenced) {
		return nil // taken over meanwhile
	}
	return err
}

// hold fences a transaction: until it ends nobody can take the lease over.
func (l partitionLease) hold(ctx context.Context, tx session) error {
	var one int
	return fenced(tx.one(ctx, `SELECT 1 FROM partitions WHERE partition = $1 AND term = $2{lock}`,
		[]any{l.Partition, l.Term}, &one))
}

type partitionLease nodestore.Lease

// Committed implements nodestore.Writer.
func (s Store) Committed(ctx context.Context, partition int) (term int64, p node.Position, err error) {
	err = s.read(ctx, fmt.Sprintf("read the position of partition %d", partition), func(tx session) error {
		row, _, err := readPartition(ctx, tx, partition)
		term, p = row.term, row.clock.Position
		return err
	})
	return term, p, err
}

// Load implements nodestore.Writer.
func (s Store) Load(ctx context.Context, l nodestore.Lease, add func(*node.Node)) (out node.Snapshot, err error) {
	err = s.read(ctx, fmt.Sprintf("load partition %d", l.Partition), func(tx session) error {
		row, ok, err := readPartition(ctx, tx, l.Partition)
		if err := fenced(ok && row.term == l.Term, err); err != nil {
			return err
		}
		out = node.Snapshot{Clock: row.clock, Deleted: make(map[string]node.Stamp)}
		var n node.Node // one for all: there may be millions
		to := keptPlaces(&n)
		if err := tx.each(ctx, `SELECT `+KeptColumns+` FROM nodes WHERE partition = $1`, []any{l.Partition},
			func(scan func(...any) error) (bool, error) {
				if err := scan(to...); err != nil {
					return false, err
				}
				add(&n)
				return true, nil
			}); err != nil {
			return err
		}
		return tx.each(ctx, `SELECT id, at FROM deleted_nodes WHERE partition = $1`, []any{l.Partition},
			func(scan func(...any) error) (bool, error) {
				var id string
				var at node.Stamp
				err := scan(&id, &at)
				out.Deleted[id] = at
				return true, err
			})
	})
	if err != nil {
		return node.Snapshot{}, err
	}
	return out, nil
}

// partitionRow is what the table partitions says of one.
type partitionRow struct {
	owner string
	term  int64
	age   time.Duration // since the last commit
	clock node.Clock
}

func readPartition(ctx context.Context, tx session, partition int) (r partitionRow, ok bool, err error) {
	var p node.Position
	var seq int64
	var clock string
	ok, err = tx.one(ctx, `SELECT owner, term, {now} - committed_at, epoch, created, seq, stamp, clock
		FROM partitions WHERE partition = $1`, []any{partition},
		&r.owner, &r.term, &r.age, &p.Epoch, &p.Created, &seq, &p.Stamp, &clock)
	if err != nil || !ok {
		return r, ok, err
	}
	p.Seq = uint64(seq)
	r.clock, err = decodeClock(clock)
	r.clock.Position = p
	return r, true, err
}

// storedClock is a clock without its position, which has columns of its own.
type storedClock struct {
	node.Clock
	Position *node.Position `json:"position,omitempty"`
}

// EncodeClock is the text of the column clock: all of the clock but its position.
func EncodeClock(c node.Clock) (string, error) {
	text, err := json.Marshal(storedClock{Clock: c})
	if err != nil {
		return "", fmt.Errorf("encode the clock: %w", err)
	}
	return string(text), nil
}

func decodeClock(text string) (node.Clock, error) {
	var c storedClock
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return node.Clock{}, fmt.Errorf("decode the clock: %w", err)
	}
	return c.Clock, nil
}
