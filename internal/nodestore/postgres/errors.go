package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Codes of PostgreSQL, appendix A.
const (
	divisionByZero   = "22012"
	lockNotAvailable = "55P03"
	readOnly         = "25006"
	uniqueViolation  = "23505"
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
	}
	return &nodestore.TroubleError{Kind: trouble(err), Passes: !byServer || passing(said.Code), Cause: plain(err)}
}

// trouble names the kind of an error of the driver.
func trouble(err error) nodestore.Trouble {
	var said *pgconn.PgError
	var refused *net.OpError
	var unknown *net.DNSError
	switch {
	case errors.As(err, &said):
		return troubleSaid(said.Code)
	case errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return nodestore.ReadOnly // none of several servers may be written to
	case errors.As(err, &unknown):
		return nodestore.Unreachable
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return nodestore.Slow
	case errors.As(err, &refused), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed):
		return nodestore.Unreachable
	}
	return nodestore.Other
}

// troubleSaid names the kind of what the server said.
func troubleSaid(code string) nodestore.Trouble {
	switch code {
	case readOnly:
		return nodestore.ReadOnly
	case "57P01", "57P02", "57P03": // shutting down, crashed, starting up
		return nodestore.Restarting
	case "53300":
		return nodestore.TooManyConnections
	case "53100":
		return nodestore.DiskFull
	case "42501":
		return nodestore.Denied
	case "42P01", "42703", "3F000": // no such table, column, schema
		return nodestore.WrongSchema
	case "57014", lockNotAvailable, "25P03": // statement_timeout, lock_timeout, idle_in_transaction_session_timeout
		return nodestore.Slow
	}
	switch class(code) {
	case "08":
		return nodestore.Unreachable
	case "28", "3D": // authorization, no such database
		return nodestore.Denied
	}
	return nodestore.Other
}

func class(code string) string { return code[:min(2, len(code))] }

// passing reports whether what the server said may be different later.
func passing(code string) bool {
	switch code {
	case readOnly, // a standby that may be promoted
		"25P03",          // idle_in_transaction_session_timeout
		"40001", "40P01", // serialization failure, deadlock
		lockNotAvailable,
		"57014",                            // statement_timeout
		"57P01", "57P02", "57P03", "57P05": // shutting down, crashed, starting up, idle_session_timeout
		return true
	}
	c := class(code)
	return c == "08" || c == "53" || c == "58" // connection, resources (disk full), system
}

// plain drops what a failed connection says about user and database: it is made of the URL, a secret.
func plain(err error) error {
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		return errors.Unwrap(failed)
	}
	return err
}

// coded reports whether the server answered with the code.
func coded(err error, code string) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.Code == code
}

func lockTimedOut(err error) bool { return coded(err, lockNotAvailable) }
