package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// Every kind of trouble has a defined name, and it is known whether waiting helps.
func TestTroublesAreToldApart(t *testing.T) {
	said := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		err    error
		kind   nodestore.Trouble
		passes bool
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, nodestore.Unreachable, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, nodestore.Unreachable, true},
		{&net.DNSError{Err: "no such host", IsTimeout: true}, nodestore.Unreachable, true},
		{io.ErrUnexpectedEOF, nodestore.Unreachable, true},
		{pgconn.ErrConnClosed, nodestore.Unreachable, true},
		{context.DeadlineExceeded, nodestore.Slow, true},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, nodestore.Slow, true},
		{said("57014"), nodestore.Slow, true},
		{said("55P03"), nodestore.Slow, true},
		{said("25P03"), nodestore.Slow, true},
		{said("25006"), nodestore.ReadOnly, true},
		{errors.Join(errors.New("refused"), pgconn.ErrReadOnlyConnection), nodestore.ReadOnly, true},
		{said("57P01"), nodestore.Restarting, true},
		{said("57P02"), nodestore.Restarting, true},
		{said("57P03"), nodestore.Restarting, true},
		{said("53300"), nodestore.TooManyConnections, true},
		{said("53100"), nodestore.DiskFull, true},
		{said("28P01"), nodestore.Denied, false},
		{said("28000"), nodestore.Denied, false},
		{said("3D000"), nodestore.Denied, false},
		{said("42501"), nodestore.Denied, false},
		{said("42P01"), nodestore.WrongSchema, false},
		{said("42703"), nodestore.WrongSchema, false},
		{said("58030"), nodestore.Other, true},
		{said("P0001"), nodestore.Other, false},
		{errors.New("?"), nodestore.Other, true},
	} {
		err := fmt.Errorf("commit: %w", domain(t.Context(), c.err))
		if kind := nodestore.TroubleOf(err); kind != c.kind || nodestore.Passing(err) != c.passes {
			t.Errorf("%v: %q, passes %v; want %q, %v", c.err, kind, nodestore.Passing(err), c.kind, c.passes)
		}
	}
	for _, err := range []error{nil, nodestore.ErrHeld, domain(t.Context(), said("22012"))} {
		if kind := nodestore.TroubleOf(err); kind != nodestore.None {
			t.Errorf("%v is %q, want no trouble", err, kind)
		}
	}
}

// What a real server says is told apart, too.
func TestTroublesOfARealServer(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	s := newStore(t, url)
	c := connect(t, url)
	run := func(statement string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	want := func(err error, kind nodestore.Trouble) {
		t.Helper()
		if got := nodestore.TroubleOf(err); got != kind {
			t.Errorf("%v is %q, want %q", err, got, kind)
		}
	}
	l := acquire(t, s, "a", 1)
	run(`ALTER TABLE partitions RENAME TO hidden`)
	want(s.Renew(t.Context(), l, 1), nodestore.WrongSchema)
	run(`ALTER TABLE hidden RENAME TO partitions`)
	run(`CREATE ROLE somebody LOGIN PASSWORD 'somebody'`)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	as := func(password string) error {
		_, err := Open(t.Context(), fmt.Sprintf("postgres://somebody:%s@%s:%d/%s?sslmode=disable", password, config.Host, config.Port, config.Database), Options{})
		return err
	}
	want(as("wrong"), nodestore.Denied)
	want(as("somebody"), nodestore.Denied) // no right to the tables
	run(`ALTER ROLE somebody CONNECTION LIMIT 0`)
	want(as("somebody"), nodestore.TooManyConnections)
	session, err := s.pool.Acquire(t.Context()) // else the pool would ask an idle session first, and hear the news itself
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	want(domain(t.Context(), session.Ping(t.Context())), nodestore.Restarting) // the news waits in the session
	session.Release()
	want(s.Ping(t.Context()), nodestore.Unreachable)
}
