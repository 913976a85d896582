package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ErrNoClock means that this machine has no libfaketime, which gives a server a clock of its own.
var ErrNoClock = errors.New("libfaketime is not installed; on Debian: apt-get install faketime")

// StartWithClock starts a server of t's own, as Start does, whose clock SetClock moves.
func StartWithClock(t testing.TB) *Server {
	t.Helper()
	return start(t, Options{OwnClock: true})
}

// SetClock sets the clock of a server with OwnClock to the true time plus offset, at once for all its sessions.
func (s *Server) SetClock(offset time.Duration) error {
	next := s.clockFile() + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, "%+.6f\n", offset.Seconds()), 0o644); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	if err := os.Rename(next, s.clockFile()); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

func (s *Server) clockFile() string { return filepath.Join(s.dir, "clock") }

// clockEnvironment makes a server read the time from clockFile. Time-outs that it measures otherwise stay true.
func (s *Server) clockEnvironment() ([]string, error) {
	if !s.options.OwnClock {
		return nil, nil
	}
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(ErrNoClock, err)
	}
	return append(os.Environ(), "LD_PRELOAD="+found[0], "FAKETIME_TIMESTAMP_FILE="+s.clockFile(),
		"FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DISABLE_SHM=1"), nil
}
