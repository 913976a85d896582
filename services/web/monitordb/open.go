package monitordb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

const (
	magic     = "SQLite format 3\x00"
	headerLen = 100
	walFormat = 2 // of the bytes at 18 and 19 of the header
)

// withDatabase calls f with a transaction that reads the file as it is at one moment. The file is read where it lies,
// if that can be done without writing anything beside it; else a copy of it is. f may be called twice.
func withDatabase(ctx context.Context, path string, f func(*sql.Tx) error) error {
	wal, err := checkHeader(path)
	if err != nil {
		return err
	}
	// SQLite makes the file -shm for a database in WAL mode, also for readers. Where it is, a server runs, or was cut off.
	if !wal || exists(path+"-shm") {
		if err = inPlace(ctx, path, "ro", f); err == nil || errors.Is(err, ErrForeign) || ctx.Err() != nil {
			return err
		}
	}
	second := inCopy(ctx, path, f)
	if err != nil && second != nil {
		return fmt.Errorf("%w; and of a copy: %w", err, second)
	}
	return second
}

// checkHeader says whether the database is in WAL mode.
func checkHeader(path string) (wal bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return false, plainError(err)
	}
	defer file.Close()
	header := make([]byte, headerLen)
	if _, err := io.ReadFull(file, header); err != nil || string(header[:len(magic)]) != magic {
		return false, fmt.Errorf("%w: it is no SQLite database", ErrForeign)
	}
	return header[18] == walFormat, nil
}

// plainError leaves out the path, which the caller knows.
func plainError(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func inPlace(ctx context.Context, path, mode string, f func(*sql.Tx) error) (err error) {
	db, err := open(path, mode)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(tx)
}

func open(path, mode string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // of Windows: /C:/…
	}
	query := "mode=" + mode + "&_pragma=busy_timeout(10000)&_pragma=query_only(1)"
	c, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: query}).String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	return db, nil
}

// inCopy reads a copy, in which SQLite may recover what a server that was cut off left behind.
func inCopy(ctx context.Context, path string, f func(*sql.Tx) error) error {
	dir, err := os.MkdirTemp("", "monitor-db-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "monitor.db")
	for _, suffix := range []string{"-journal", "-wal", ""} {
		if err := copyFile(path+suffix, to+suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("copy: %w", err)
		}
	}
	return inPlace(ctx, to, "rw", f)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
