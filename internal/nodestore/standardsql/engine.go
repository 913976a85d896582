// Package standardsql is the part of the store that Postgres and SQLite can say in the same words.
//
// An engine embeds Store and adds what is its own: Commit, which is the hot path, Ping and Close.
package standardsql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rows is the answer to a query, as both drivers give it.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Tx is a transaction of an engine.
type Tx interface {
	// Exec returns how many rows it changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Engine runs transactions. What do returns is returned; errors of the driver come back as those of nodestore.
type Engine interface {
	// Read runs do on one snapshot of the database.
	Read(ctx context.Context, do func(Tx) error) error
	// Write runs do in one transaction, which is committed when do returns nil, and else rolled back.
	Write(ctx context.Context, do func(Tx) error) error
	// Now is an SQL expression for the engine's clock in Unix nanoseconds.
	Now() string
	// Lock is what a SELECT ends with to lock its rows until the transaction ends, or "".
	Lock() string
	// Bytes is what a text in an ORDER BY or a comparison is followed by to be compared by its bytes, or "".
	Bytes() string
}

// Store implements most of nodestore.Store on an engine.
type Store struct {
	Engine Engine
	now    func() time.Time
	watch  *watch
}

// New makes a store. now is this process's own clock, which must go on steadily whatever the database's does.
func New(e Engine, now func() time.Time) Store { return Store{Engine: e, now: now, watch: new(watch)} }

// session is a transaction together with the engine's dialect: {now}, {lock} and {bytes} in queries are its Now, Lock
// and Bytes.
type session struct {
	tx     Tx
	engine Engine
}

// read runs do on one snapshot. op names the operation in the error.
func (s Store) read(ctx context.Context, op string, do func(session) error) error {
	return wrap(op, s.Engine.Read(ctx, func(tx Tx) error { return do(session{tx, s.Engine}) }))
}

// write runs do in one transaction.
func (s Store) write(ctx context.Context, op string, do func(session) error) error {
	return wrap(op, s.Engine.Write(ctx, func(tx Tx) error { return do(session{tx, s.Engine}) }))
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}

func (s session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return s.tx.Exec(ctx, s.dialect(query), CleanArgs(args)...)
}

// one reads the first row and reports whether there is one.
func (s session) one(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	rows, err := s.query(ctx, query, args)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	rows.Close() // a driver that pipelines tells of some errors only here
	return true, rows.Err()
}

// each calls do for every row, until it returns false or an error.
func (s session) each(ctx context.Context, query string, args []any, do func(scan func(...any) error) (bool, error)) error {
	rows, err := s.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if more, err := do(rows.Scan); err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

func (s session) query(ctx context.Context, query string, args []any) (Rows, error) {
	return s.tx.Query(ctx, s.dialect(query), CleanArgs(args)...)
}

func (s session) dialect(query string) string {
	if !strings.Contains(query, "{") {
		return query
	}
	return strings.NewReplacer("{now}", s.engine.Now(), "{lock}", s.engine.Lock(), "{bytes}", s.engine.Bytes()).Replace(query)
}

// placeholders is "$first,$first+1,…", n of them.
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// eachOf is each for very many ids, some at a time: query makes the statement for a list of placeholders.
func (s session) eachOf(ctx context.Context, ids []string, query func(in string) string, scan func(func(...any) error) error) error {
	for some := range slices.Chunk(ids, chunk) {
		args := make([]any, len(some))
		for i, id := range some {
			args[i] = id
		}
		err := s.each(ctx, query(placeholders(1, len(some))), args, func(row func(...any) error) (bool, error) {
			return true, scan(row)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
