// Package sqlite is the store in one SQLite file, for one program on one machine.
//
// Leases and found times count by the clock that Open is given. One connection writes and several read; a commit is
// on disk when the call returns.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many queries run at the same time.
const readers = 4

// store implements nodestore.Store.
type store struct {
	standardsql.Store
	engine *engine
	commit statements
}

// Open opens the database file and creates it where it is missing, in a directory that exists. now is the clock of
// leases; nil for time.Now. ErrNewerSchema when a newer program wrote the file.
func Open(ctx context.Context, path string, now func() time.Time) (nodestore.Store, error) {
	if now == nil {
		now = time.Now
	}
	s, err := open(ctx, path, now)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, now func() time.Time) (_ *store, err error) {
	e := &engine{now: now}
	s := &store{Store: standardsql.New(e, time.Now), engine: e}
	defer func() {
		if err != nil {
			err = domain(ctx, errors.Join(err, s.Close()))
		}
	}()
	// The writer comes first: it creates the file and sets its journal mode, which readers cannot.
	if e.writer, err = connect(path, 1, "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)",
		"_pragma=foreign_keys(1)"); err != nil {
		return nil, err
	}
	if err = migrate(ctx, e.writer); err != nil {
		return nil, err
	}
	if e.reader, err = connect(path, readers, "_pragma=query_only(1)"); err != nil {
		return nil, err
	}
	s.commit, err = prepare(ctx, e.writer)
	return s, err
}

// connect makes a pool of at most n connections.
func connect(path string, n int, params ...string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // of Windows: /C:/…
	}
	query := strings.Join(append([]string{"_pragma=busy_timeout(5000)"}, params...), "&")
	c, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: query}).String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// migrate brings the schema up to date. SQLite has no lock that goose could hold meanwhile, so when several programs
// open a new file together all but one fail at a migration, and find it done when they try again: for each at most once.
func migrate(ctx context.Context, db *sql.DB) (err error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	steps, err := fs.ReadDir(dir, ".")
	if err != nil {
		return err
	}
	for range len(steps) + 2 { // goose's own table is another step
		err = standardsql.Migrate(ctx, goose.DialectSQLite3, db, dir)
		if err == nil || errors.Is(err, nodestore.ErrNewerSchema) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// Close ends all connections. It may be called more than once.
func (s *store) Close() error {
	var errs []error
	for _, stmt := range s.commit {
		errs = append(errs, stmt.Close())
	}
	for _, db := range []*sql.DB{s.engine.reader, s.engine.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Ping implements nodestore.Reader.
func (s *store) Ping(ctx context.Context) error {
	if err := s.engine.reader.PingContext(ctx); err != nil {
		return fmt.Errorf("ping the database: %w", domain(ctx, err))
	}
	return nil
}

// engine implements standardsql.Engine.
type engine struct {
	writer, reader *sql.DB
	now            func() time.Time
}

// Now implements standardsql.Engine.
func (e *engine) Now() string { return strconv.FormatInt(e.now().UnixNano(), 10) }

// Lock implements standardsql.Engine: whoever writes has the whole database to itself.
func (e *engine) Lock() string { return "" }

// Bytes implements standardsql.Engine: SQLite compares in no other way.
func (e *engine) Bytes() string { return "" }

// Read implements standardsql.Engine.
func (e *engine) Read(ctx context.Context, do func(standardsql.Tx) error) error {
	return e.transact(ctx, e.reader, func(tx *sql.Tx) error { return do(transaction{tx}) })
}

// Write implements standardsql.Engine.
func (e *engine) Write(ctx context.Context, do func(standardsql.Tx) error) error {
	return e.transact(ctx, e.writer, func(tx *sql.Tx) error { return do(transaction{tx}) })
}

func (e *engine) transact(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return domain(ctx, err)
	}
	defer tx.Rollback() // nothing after a commit
	if err := do(tx); err != nil {
		return domain(ctx, err)
	}
	return domain(ctx, tx.Commit())
}

// transaction implements standardsql.Tx.
type transaction struct{ *sql.Tx }

// Exec implements standardsql.Tx.
func (t transaction) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Query implements standardsql.Tx.
func (t transaction) Query(ctx context.Context, query string, args ...any) (standardsql.Rows, error) {
	r, err := t.QueryContext(ctx, query, args...) //nolint:rowserrcheck // left to whoever reads them
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

// rows implements standardsql.Rows.
type rows struct{ *sql.Rows }

// Close implements standardsql.Rows.
func (r rows) Close() { _ = r.Rows.Close() } // what matters of it is in Err
