package standardsql

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Migrate brings the schema up to date, each migration in a transaction of its own. ErrNewerSchema when the
// database knows migrations that are not in migrations.
func Migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, migrations fs.FS, o ...goose.ProviderOption) error {
	o = append(o, goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true))
	p, err := goose.NewProvider(dialect, db, migrations, o...)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	// Only Up holds the lock while it creates the table of versions, so it comes first. On a newer schema it finds
	// nothing to do.
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	current, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if current > known {
		return fmt.Errorf("%w (it has version %d, this program knows %d)", nodestore.ErrNewerSchema, current, known)
	}
	return nil
}
