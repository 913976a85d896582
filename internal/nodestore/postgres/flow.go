package postgres

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
)

// large is how many statements make a commit one that is sent while it is being encoded: those of fifteen thousand nodes
// that changed state, or of thirty thousand that were heard.
const large = 8

// send runs a batch as one pipeline, hence one transaction. Its error is one of the driver.
//
// Of a large one Postgres executes the first statements while the next are encoded, and no more than one of them is in
// memory a second time. There is one Sync, at the end: what is cut off before it leaves nothing.
func (s *store) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() < s.large {
		return finish(s.pool.SendBatch(ctx, b))
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	p, err := stream(ctx, conn.Conn(), b)
	if err != nil {
		return err
	}
	return finish(p)
}

// finish reads the answers of what is all under way.
func finish(sent io.Closer) error {
	crashpoint.Here("evaluator.commit_sent")
	return sent.Close()
}

func stream(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) (*pgconn.Pipeline, error) {
	described, err := describe(ctx, conn, b)
	if err != nil {
		return nil, err
	}
	p := conn.PgConn().StartPipeline(ctx)
	if err := flow(ctx, conn, p, b, described); err != nil {
		_ = p.Close() // without a Sync: it drops the connection, and with it the transaction
		return nil, err
	}
	return p, nil
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
