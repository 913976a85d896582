package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

// prepare brings the schema up to date and gives other roles their rights, or, as a role that may not, looks whether
// it is.
func prepare(ctx context.Context, config *pgx.ConnConfig) error {
	// A connection of its own: a migration may take longer than a query may.
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return domain(ctx, err)
	}
	defer func() { _ = c.Close(ctx) }()
	if err := setUp(migrating)(ctx, c); err != nil {
		return domain(ctx, err)
	}
	var may bool
	err = c.QueryRow(ctx, `SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), true)`).Scan(&may)
	if err != nil {
		return domain(ctx, err)
	}
	if !may {
		return follow(ctx, c)
	}
	if err := migrate(ctx, config); err != nil {
		return err
	}
	return domain(ctx, giveRights(ctx, c))
}

func migrate(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(setUp(migrating)))
	defer db.Close()
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
	if err != nil {
		return err
	}
	err = standardsql.Migrate(ctx, goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker))
	if errors.Is(err, nodestore.ErrNewerSchema) {
		return err
	}
	return domain(ctx, err)
}

// follow succeeds when the schema is the one that this program knows. An older one is waited for.
func follow(ctx context.Context, c *pgx.Conn) error {
	known, err := newest(migrations)
	if err != nil {
		return err
	}
	var current int64
	err = c.QueryRow(ctx, `SELECT COALESCE(max(version_id), 0) FROM schema_version WHERE is_applied`).Scan(&current)
	var said *pgconn.PgError
	switch {
	case errors.As(err, &said) && troubleSaid(said.Code) == nodestore.WrongSchema:
		return waitFor(nodestore.WrongSchema, errors.New("there are no tables yet, and this role may make none"))
	case errors.As(err, &said) && troubleSaid(said.Code) == nodestore.Denied:
		return waitFor(nodestore.Denied, fmt.Errorf("%w, and whoever makes the tables gives the rights to them", plain(err)))
	case err != nil:
		return domain(ctx, err)
	case current > known:
		return fmt.Errorf("%w (it has version %d, this program knows %d)", nodestore.ErrNewerSchema, current, known)
	case current < known:
		return waitFor(nodestore.WrongSchema, fmt.Errorf("it has version %d, this program needs %d, and this role may not change it", current, known))
	}
	return nil
}

func waitFor(kind nodestore.Trouble, why error) error {
	return &nodestore.TroubleError{
		Kind: kind, Passes: true, Cause: fmt.Errorf("%w: the evaluator of this version does so when it starts", why),
	}
}

// newest is the version of the last migration.
func newest(migrations fs.FS) (int64, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		return 0, errors.Join(errors.New("read the migrations: there are none"), err)
	}
	number, _, _ := strings.Cut(path.Base(files[len(files)-1]), "_") // Glob sorts, and numbers have leading zeros
	return strconv.ParseInt(number, 10, 64)
}
