// Package postgres is the store in a Postgres database, for several programs on several machines.
//
// Leases count by the database's clock_timestamp(). Every session limits how long it may hold a transaction open,
// so that an evaluator that is frozen or cut off cannot keep others from taking over.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationName tells this program's sessions from others.
const applicationName = "gensyn-monitor"

// session is how every session is set up. TCP keepalive lets the server notice a machine that is cut off.
const session = `SET application_name = '` + applicationName + `';
	SET idle_in_transaction_session_timeout = '3s'; SET lock_timeout = '3s';
	SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
	SET statement_timeout = `

const (
	ordinary  = `'10s'`
	migrating = `'15min'`
)

// Options are what the store may do with the database. The zero value is fine.
type Options struct {
	MaxConns int32 // 0 for 8
}

// store implements nodestore.Store.
type store struct {
	standardsql.Store
	pool  *pgxpool.Pool
	large int // see there
}

// Open connects to the database at url, postgres://user:password@host:port/name, or of several servers the writable one
// (postgres://user:password@a:5432,b:5432/name?target_session_attrs=read-write), also after a failover; and brings its schema up to date;
// several programs may do so together. A role that may make no tables leaves that to others, and gets ErrUnavailable until
// they have; roles with rights of their own are in rights.go. It does not wait for a database that is away: ErrUnavailable then.
// ErrNewerSchema when a newer program migrated it. The url is a secret and no part of any error.
func Open(ctx context.Context, url string, o Options) (nodestore.Store, error) {
	config, err := parse(url, o)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := prepare(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", domain(ctx, err))
	}
	return &store{Store: standardsql.New(engine{pool}, time.Now), pool: pool, large: large}, nil
}

func parse(url string, o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// What the parser says may contain a piece of the password.
		return nil, errors.New("its URL cannot be read: it must be postgres://user:password@host:port/name, " +
			"with the special characters of the password percent-encoded")
	}
	config.MaxConns = 8
	if o.MaxConns > 0 {
		config.MaxConns = o.MaxConns
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectLimit(config.ConnConfig)
	}
	config.AfterConnect = setUp(ordinary)
	return config, nil
}

// connectLimit is how long connecting to one server may take. Of several, one whose machine is gone answers nothing, and
// the others must get their turn within the time of one call.
func connectLimit(c *pgx.ConnConfig) time.Duration {
	for _, f := range c.Fallbacks { // the same server without TLS is one, too
		if f.Host != c.Host || f.Port != c.Port {
			return 2 * time.Second
		}
	}
	return 5 * time.Second
}

// setUp sets a session up by statements, since poolers between here and Postgres refuse settings on connecting.
func setUp(statementTimeout string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, session+statementTimeout)
		return err
	}
}

// Close ends all connections. It may be called more than once.
func (s *store) Close() error {
	s.pool.Close()
	return nil
}

// Ping implements nodestore.Reader.
func (s *store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping the database: %w", domain(ctx, err))
	}
	return nil
}

// Acquire implements nodestore.Writer. When a session that waits for its frozen client keeps the lease's row
// locked, it is ended, so that the next try succeeds.
func (s *store) Acquire(ctx context.Context, partition int, owner string, ttl time.Duration, initial node.Settings) (nodestore.Lease, error) {
	l, err := s.Store.Acquire(ctx, partition, owner, ttl, initial)
	if lockTimedOut(err) {
		err = errors.Join(err, s.endFrozen(ctx, partition, noTerm))
	}
	return l, err
}

// noTerm is no holder's term.
const noTerm = -1

// endFrozen ends this program's sessions that have kept a transaction open for 3 s and wait for their client, if the
// lease has run out, or is the caller's by its term. Postgres ends them itself between two commands, but not within a pipeline of commands that
// stopped halfway, which is what a process leaves that was frozen while it sent a commit.
func (s *store) endFrozen(ctx context.Context, partition int, term int64) error {
	_, err := s.pool.Exec(ctx, `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
		WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
			AND a.application_name = '`+applicationName+`' AND a.wait_event = 'ClientRead'
			AND a.xact_start < clock_timestamp() - interval '3 seconds'
			AND EXISTS (SELECT 1 FROM partitions p WHERE p.partition = $1
				AND (p.expires_at <= `+now+` OR p.term = $2))`, partition, term)
	if err != nil {
		return fmt.Errorf("end frozen sessions: %w", domain(ctx, err))
	}
	return nil
}
