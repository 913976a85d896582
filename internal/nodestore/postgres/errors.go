package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Codes of PostgreSQL, appendix A.
const (
	divisionByZero   = "22012"
	lockNotAvailable = "55P03"
)

// domain makes an error of the driver one of nodestore. It is given nothing but errors of the driver.
func domain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var said *pgconn.PgError
	byServer := errors.As(err, &said)
	switch {
	case byServer && said.Code == divisionByZero: // see fence
		return nodestore.ErrFenced
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, plain(err)) // the caller's wish, and no trouble of the database
	case byServer && !passing(said.Code):
		return plain(err)
	}
	return fmt.Errorf("%w: %w", nodestore.ErrUnavailable, plain(err)) // the connection failed, or it was too slow
}

// passing reports whether what the server said may be different later.
func passing(code string) bool {
	switch code {
	case "25006", // read-only: a standby that may be promoted
		"25P03",          // idle_in_transaction_session_timeout
		"40001", "40P01", // serialization failure, deadlock
		lockNotAvailable,
		"57014",                            // statement_timeout
		"57P01", "57P02", "57P03", "57P05": // shutting down, crashed, starting up, idle_session_timeout
		return true
	}
	class := code[:min(2, len(code))]
	return class == "08" || class == "53" || class == "58" // connection, resources (disk full), system
}

// plain drops what a failed connection says about user and database: it is made of the URL, a secret.
func plain(err error) error {
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		return errors.Unwrap(failed)
	}
	return err
}

func lockTimedOut(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.Code == lockNotAvailable
}
