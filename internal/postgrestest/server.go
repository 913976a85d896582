package postgrestest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// Limits of waiting for the server, generous for a busy machine.
const (
	startLimit = 60 * time.Second
	stopLimit  = 20 * time.Second
)

// userName is the database's superuser.
const userName = "monitor"

// Options are how a server runs. The zero value is right for tests.
type Options struct {
	Fsync    bool // survive a crash of the machine, for data that matters
	OwnClock bool // a clock that SetClock moves; needs libfaketime
	// Settings are further ones, name=value.
	Settings []string

	primary string // of a replica: how it connects to its primary
}

// Server is a Postgres cluster on a loopback port. Its methods may be called from any goroutine.
type Server struct {
	dir, bin string
	account  *account // nil: as this process
	options  Options
	password string
	port     int

	mu      sync.Mutex
	process *process // nil while stopped
}

// StartServer runs a cluster in dir, which must exist: the one that is there, or a new one. The caller stops it; dir
// stays. As root, dir is given to the server's user, and must lie where all may enter (os.MkdirTemp, not t.TempDir).
func StartServer(dir string, o Options) (*Server, error) {
	s := &Server{dir: dir, options: o}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := s.Restart(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) prepare() (err error) {
	if s.bin, err = findPrograms(); err != nil {
		return err
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if s.account, err = unprivileged(); err != nil {
		return err
	}
	if err := s.account.own(s.dir); err != nil {
		return err
	}
	if err := s.initialize(); err != nil {
		return err
	}
	if s.options.OwnClock {
		if err := s.SetClock(0); err != nil {
			return err
		}
	}
	s.port, err = freeport.Port()
	return err
}

func (s *Server) data() string         { return filepath.Join(s.dir, "data") }
func (s *Server) passwordFile() string { return filepath.Join(s.dir, "password") }
func (s *Server) logFile() string      { return filepath.Join(s.dir, "postgres.log") }

// initialize makes the cluster, or reads the password of the one that is there.
func (s *Server) initialize() error {
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		password, err := os.ReadFile(s.passwordFile())
		s.password = string(password)
		return err
	}
	s.password = rand.Text()
	if err := os.WriteFile(s.passwordFile(), []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.account.own(s.passwordFile()); err != nil {
		return err
	}
	// The password goes over the loopback as it is: hashing it would cost a test binary seconds.
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", userName,
		"--auth", "password", "--pwfile", s.passwordFile(), "--encoding", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir = s.dir
	s.account.apply(cmd)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := childprocess.Run(cmd, syscall.SIGTERM); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out.Bytes())
	}
	return nil
}

// URL is the address of a database of this server, with the password. It stays the same for the server's life.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(userName, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Restart stops the server if it runs, and starts it on the same port and data. It returns once it answers.
func (s *Server) Restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(startLimit)
	for {
		p, err := s.launch()
		if err == nil {
			if err = s.await(p, deadline); err == nil {
				s.process = p
				return nil
			}
			_ = p.end(syscall.SIGQUIT)
		}
		// After Kill, what is left of the old server may need a moment to go away.
		if time.Now().After(deadline) || !errors.Is(err, errEnded) {
			return fmt.Errorf("start postgres: %w\n%s", err, s.logTail())
		}
	}
}

// Stop shuts the server down as an administrator would: sessions end at once, data is kept. A stopped server stays so.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a crash would: nothing is written down, clients see the connection break.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	if err := s.process.end(sig); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	s.process = nil
	return nil
}

// PID is the postmaster's, 0 while stopped.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// errEnded means that the server ended before it answered.
var errEnded = errors.New("postgres ended")

// await waits until the server accepts connections.
func (s *Server) await(p *process, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%w: %w", errEnded, p.Err())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) logTail() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-2000):])
}
