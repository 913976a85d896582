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
	var said *sqlite.Error
	switch {
	case err == nil, errors.Is(err, nodestore.ErrUnavailable):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err) // the caller's wish, and no trouble of the database
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return &nodestore.TroubleError{Kind: nodestore.Slow, Passes: true, Cause: err}
	case errors.As(err, &said):
		kind, passes := trouble(said.Code())
		return &nodestore.TroubleError{Kind: kind, Passes: passes, Cause: err}
	}
	return err
}

// trouble names the kind of what SQLite says, and whether it may pass: another program has the lock, the disk is full
// or does not answer.
func trouble(code int) (kind nodestore.Trouble, passes bool) {
	switch code & 0xff { // the rest says more exactly what
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
		return nodestore.Slow, true
	case sqlite3.SQLITE_FULL:
		return nodestore.DiskFull, true
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return nodestore.Denied, true
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM:
		return nodestore.Other, true
	}
	return nodestore.Other, false
}
