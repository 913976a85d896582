// Package postgrestest runs a private Postgres cluster, for tests and for trying things by hand.
//
// It needs initdb and postgres, but no running server and no root: as root it drops to an unprivileged user, which
// Postgres insists on. A server ends with the process that started it.
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Start starts a server of t's own and stops it when t ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, Options{})
}

func start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := startTemporary(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.discard(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// shared is the server of this test binary.
var shared struct {
	sync.Mutex
	server *Server
}

// Shared returns the one server of the test binary, started when first asked for. TestMain must call Main.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := startTemporary(Options{})
		if err != nil {
			t.Fatal(err)
		}
		shared.server = s
	}
	return shared.server
}

// Main runs the tests of a package and stops the shared server. It returns the exit status.
func Main(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return code
	}
	if err := shared.server.discard(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	shared.server = nil
	return code
}

// startTemporary starts a server in a new temporary directory, which discard removes.
func startTemporary(o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "postgrestest-")
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	s, err := StartServer(dir, o)
	if err != nil {
		_ = os.RemoveAll(dir) // the first error says more
		return nil, err
	}
	return s, nil
}

func (s *Server) discard() error {
	err := s.Stop()
	if removed := os.RemoveAll(s.dir); err == nil {
		err = removed
	}
	return err
}

var databases atomic.Int64

// NewDatabase creates an empty database and returns its URL. It is dropped when t ends, whoever is connected.
func (s *Server) NewDatabase(t testing.TB) (url string) {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.admin("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil && s.running() {
			t.Errorf("drop database: %v", err)
		}
	})
	return s.URL(name)
}

func (s *Server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}
