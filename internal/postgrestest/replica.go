package postgrestest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// StartReplica starts a streaming replica of this server in dir, under the rules of StartServer. It gets all that is
// written here through addr, host:port, which is this server's own or leads to it, and confirms nothing: commits do not
// wait for it. It is read-only until it is promoted.
func (s *Server) StartReplica(dir, addr string, o Options) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("start a replica: %w", err)
	}
	o.primary = fmt.Sprintf("host=%s port=%s user=%s password=%s sslmode=disable", host, port, userName, s.password)
	if err := s.copyTo(dir); err != nil {
		return nil, fmt.Errorf("start a replica: %w", err)
	}
	return StartServer(dir, o)
}

// copyTo makes dir a copy of this server's data that starts as a replica.
func (s *Server) copyTo(dir string) error {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = s.account.own(dir)
	}
	if err != nil {
		return err
	}
	backup := exec.Command(filepath.Join(s.bin, "pg_basebackup"), "--pgdata", filepath.Join(dir, "data"),
		"--dbname", s.URL("postgres"), "--checkpoint=fast", "--no-sync")
	backup.Dir = dir
	s.account.apply(backup)
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	signal := filepath.Join(dir, "data", "standby.signal")
	return errors.Join(os.WriteFile(signal, nil, 0o600), s.account.own(signal),
		os.WriteFile(filepath.Join(dir, "password"), []byte(s.password), 0o600), s.account.own(filepath.Join(dir, "password")))
}

// Promote makes a replica a primary, as a failover does. It returns once it can be written to.
func (s *Server) Promote() error {
	if err := s.admin("DO $$ BEGIN IF NOT pg_promote() THEN RAISE 'not promoted in time'; END IF; END $$"); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	return nil
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(s.port)) }
