package standardsql

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// seat is a row that one program at a time may hold by a lease: a partition. (Who tells a chat watches its lease
// itself: see nodestore.Deliveries.)
type seat struct {
	table, key string // the table, and the column of id
	id         any
}

func partitionSeat(partition int) seat { return seat{"partitions", "partition", partition} }

// grant is a lease as stored. Each renewal makes another one of it, whatever the clock says.
type grant struct{ term, expiresAt, renewals int64 }

// standing is what a look at a seat tells.
type standing struct {
	grant
	owner string
	ttl   time.Duration // 0 when an older program granted it
	over  bool          // run out by the database's clock
}

func (s seat) look(ctx context.Context, tx session) (st standing, exists bool, err error) {
	exists, err = tx.one(ctx, `SELECT owner, term, expires_at, renewals, ttl, expires_at <= {now}
		FROM `+s.table+` WHERE `+s.key+` = $1`, []any{s.id},
		&st.owner, &st.term, &st.expiresAt, &st.renewals, &st.ttl, &st.over)
	return st, exists, err
}

// free looks whether owner may take the seat, and returns the grant that it may take it from; ErrHeld if not. It writes
// nothing and waits for no lock.
//
// The database's clock may step, so a process that watches a seat counts by its own: it takes the seat from a holder
// that did not renew for as long as the lease lasts. What the database's clock says lets it do so somewhat earlier,
// and decides alone for a process that looks for the first time. So a holder that died is replaced even when the clock
// stepped back, and one that renews is not even when the clock stepped forward.
func (s Store) free(ctx context.Context, st seat, owner string, ttl time.Duration) (grant, error) {
	began := s.now()
	var found standing
	var exists bool
	err := s.Engine.Read(ctx, func(tx Tx) (err error) {
		found, exists, err = st.look(ctx, session{tx, s.Engine})
		return err
	})
	if err != nil || !exists || found.owner == Clean(owner) {
		return found.grant, err
	}
	if found.ttl <= 0 {
		found.ttl = ttl
	}
	unrenewed, watched := s.watch.unchanged(st, found.grant, began, s.now())
	trusted := !watched || unrenewed >= found.ttl/2
	if found.expiresAt == released || found.over && trusted || unrenewed > found.ttl {
		return found.grant, nil
	}
	return grant{}, nodestore.ErrHeld
}

// take takes the seat from the grant that was found free, and returns the term. ErrHeld when it is another by now.
func (s seat) take(ctx context.Context, tx session, owner string, ttl time.Duration, from grant) (term int64, err error) {
	free, err := tx.one(ctx, `UPDATE `+s.table+` SET owner = $2, term = term + 1,
			expires_at = {now} + $3, ttl = $3, renewals = renewals + 1
		WHERE `+s.key+` = $1 AND (owner = $2 OR expires_at = 0
			OR (term = $4 AND expires_at = $5 AND renewals = $6)) RETURNING term`,
		[]any{s.id, owner, int64(ttl), from.term, from.expiresAt, from.renewals}, &term)
	if err == nil && !free {
		err = nodestore.ErrHeld
	}
	return term, err
}

// renew makes the lease last for ttl from now. ErrFenced when the term is another.
func (s seat) renew(ctx context.Context, tx session, term int64, ttl time.Duration) error {
	n, err := tx.exec(ctx, `UPDATE `+s.table+` SET expires_at = {now} + $3, ttl = $3, renewals = renewals + 1
		WHERE `+s.key+` = $1 AND term = $2`, s.id, term, int64(ttl))
	return fenced(n > 0, err)
}

// release lets the lease run out now. ErrFenced when the term is another.
func (s seat) release(ctx context.Context, tx session, term int64) error {
	n, err := tx.exec(ctx, `UPDATE `+s.table+` SET expires_at = 0 WHERE `+s.key+` = $1 AND term = $2`, s.id, term)
	return fenced(n > 0, err)
}

// fenced is the error of something that needed a lease: ErrFenced unless it was held.
func fenced(held bool, err error) error {
	if err == nil && !held {
		err = nodestore.ErrFenced
	}
	return err
}
