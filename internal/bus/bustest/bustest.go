// Package bustest runs a real nats-server with JetStream inside a test.
package bustest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// Server is a nats-server that listens on a free loopback port and keeps its data between restarts.
type Server struct {
	t    testing.TB
	opts server.Options
	*server.Server
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartSmall(t, 1<<30)
}

// StartSmall runs a server that may store so many bytes.
func StartSmall(t testing.TB, bytes int64) *Server {
	t.Helper()
	s := &Server{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: bytes,
	}}
	s.run()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) run() {
	s.t.Helper()
	opts := s.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		s.t.Fatalf("nats-server: %v", err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		s.t.Fatal("nats-server: not ready")
	}
	s.opts.Port = opts.Port
	s.Server = srv
}

// Stop shuts the server down and waits for it.
func (s *Server) Stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Restart starts the server again on the same port, with what it stored.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.run()
}

// Connect opens a bus and waits until it is connected.
func (s *Server) Connect() *bus.Bus {
	s.t.Helper()
	b, err := bus.Connect(bus.Options{URL: s.ClientURL(), Name: s.t.Name()})
	if err != nil {
		s.t.Fatalf("connect: %v", err)
	}
	s.t.Cleanup(b.Close)
	for deadline := time.Now().Add(10 * time.Second); b.Ready(s.t.Context()) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("connect: %v", b.Ready(s.t.Context()))
		}
	}
	return b
}

// Save copies what the server stored, while it is stopped for that, and returns the folder.
func (s *Server) Save() string {
	s.t.Helper()
	s.Stop()
	saved := filepath.Join(s.t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(s.opts.StoreDir)); err != nil {
		s.t.Fatalf("save the stream: %v", err)
	}
	s.run()
	return saved
}

// PutBack replaces what the server stored by what Save copied, as somebody who restores a backup does.
func (s *Server) PutBack(saved string) {
	s.t.Helper()
	s.Stop()
	err := os.RemoveAll(s.opts.StoreDir)
	if err = errors.Join(err, os.CopyFS(s.opts.StoreDir, os.DirFS(saved))); err != nil {
		s.t.Fatalf("put the stream back: %v", err)
	}
	s.run()
}
