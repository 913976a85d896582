package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

// now is the database's clock in Unix nanoseconds. Unlike now() it goes on within a transaction, as it must when
// a statement had to wait for a lock.
const now = `((extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000)`

// engine implements standardsql.Engine.
type engine struct{ pool *pgxpool.Pool }

// Now implements standardsql.Engine.
func (e engine) Now() string { return now }

// Lock implements standardsql.Engine.
func (e engine) Lock() string { return " FOR UPDATE" }

// Bytes implements standardsql.Engine: the database has a locale.
func (e engine) Bytes() string { return ` COLLATE "C"` }

// Reading a million nodes takes longer than other statements may, and holds no lock that anybody waits for.
const beginRead = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'`

// Read implements standardsql.Engine.
func (e engine) Read(ctx context.Context, do func(standardsql.Tx) error) error {
	return e.transact(ctx, pgx.TxOptions{BeginQuery: beginRead}, do)
}

// Write implements standardsql.Engine.
func (e engine) Write(ctx context.Context, do func(standardsql.Tx) error) error {
	return e.transact(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, do)
}

func (e engine) transact(ctx context.Context, o pgx.TxOptions, do func(standardsql.Tx) error) error {
	err := e.attempt(ctx, o, do)
	e.leaveReadOnly(err)
	return err
}

// leaveReadOnly drops all sessions when one of them turned out to be to a server that takes no writes: after a failover
// the writable server is found by new sessions alone, and those that stay would read what is old there.
func (e engine) leaveReadOnly(err error) {
	if nodestore.TroubleOf(err) == nodestore.ReadOnly {
		e.pool.Reset()
	}
}

func (e engine) attempt(ctx context.Context, o pgx.TxOptions, do func(standardsql.Tx) error) error {
	tx, err := e.pool.BeginTx(ctx, o)
	if err != nil {
		return domain(ctx, err)
	}
	defer tx.Rollback(ctx) // nothing after a commit
	if err := do(transaction{tx}); err != nil {
		return err
	}
	return domain(ctx, tx.Commit(ctx))
}

// transaction implements standardsql.Tx.
type transaction struct{ tx pgx.Tx }

// Exec implements standardsql.Tx.
func (t transaction) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), domain(ctx, err)
}

// Query implements standardsql.Tx.
func (t transaction) Query(ctx context.Context, query string, args ...any) (standardsql.Rows, error) {
	r, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, domain(ctx, err)
	}
	return rows{r, ctx}, nil
}

// rows implements standardsql.Rows.
type rows struct {
	pgx.Rows
	ctx context.Context // of the query
}

// Err implements standardsql.Rows.
func (r rows) Err() error { return domain(r.ctx, r.Rows.Err()) }
