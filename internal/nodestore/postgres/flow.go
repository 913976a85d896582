package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
)

// large is how many statements make a commit one that is sent while it is being encoded: those of fifteen thousand nodes
// that changed state, or of thirty thousand that were heard.
const large = 8

// send runs a batch as one pipeline, hence one transaction. Its error is one of the driver.
func (s *store) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() >= s.large {
		return s.sendLarge(ctx, b)
	}
	results := s.pool.SendBatch(ctx, b) // all of it is under way
	crashpoint.Here("evaluator.commit_sent")
	return results.Close()
}

// sendLarge does what send does, but Postgres executes the first statements while the next are encoded, and no more than
// one of them is in memory a second time. There is one Sync, at the end: what is cut off before it leaves nothing.
func (s *store) sendLarge(ctx context.Context, b *pgx.Batch) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer pooled.Release()
	conn := pooled.Conn()
	described, err := describe(ctx, conn, b)
	if err != nil {
		return err
	}
	p := conn.PgConn().StartPipeline(ctx)
	if err := flow(ctx, conn, p, b, described); err != nil {
		_ = p.Close() // without a Sync: it drops the connection, and with it the transaction
		return err
	}
	crashpoint.Here("evaluator.commit_sent")
	return p.Close() // reads all answers
}

// describe asks which types the statements take, without keeping them in the session: a pooler between here and Postgres
// may give each transaction another one.
func describe(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) (map[string]*pgconn.StatementDescription, error) {
	described := make(map[string]*pgconn.StatementDescription)
	for _, q := range b.QueuedQueries {
		if described[q.SQL] != nil {
			continue
		}
		d, err := conn.Prepare(ctx, "", q.SQL)
		if err != nil {
			return nil, err
		}
		described[q.SQL] = d
	}
	return described, nil
}

// flow sends statement after statement, then the only Sync.
func flow(ctx context.Context, conn *pgx.Conn, p *pgconn.Pipeline, b *pgx.Batch, described map[string]*pgconn.StatementDescription) error {
	var params pgx.ExtendedQueryBuilder
	for _, q := range b.QueuedQueries {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := described[q.SQL]
		if err := params.Build(conn.TypeMap(), d, q.Arguments); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		p.SendQueryParams(q.SQL, params.ParamValues, d.ParamOIDs, params.ParamFormats, params.ResultFormats)
		if err := p.Flush(); err != nil {
			return err
		}
	}
	return p.Sync()
}
