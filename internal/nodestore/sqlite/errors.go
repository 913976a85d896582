package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// domain makes an error of the driver one of nodestore. It leaves others as they are.
func domain(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, nodestore.ErrUnavailable):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err) // the caller's wish, and no trouble of the database
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), passing(err):
		return fmt.Errorf("%w: %w", nodestore.ErrUnavailable, err)
	}
	return err
}

// passing reports whether the trouble may pass: another program has the lock, the disk is full or does not answer.
func passing(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // the rest says more exactly what
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return false
}
