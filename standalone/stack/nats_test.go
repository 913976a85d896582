package stack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// A server that cannot store any more is started again, and what it stored before is there.
func TestNATSIsStartedAgainWhenStoringKeepsFailing(t *testing.T) {
	dir := t.TempDir()
	e, err := startNATS(t.Context(), dir, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	e.look, e.patience = 10*time.Millisecond, 50*time.Millisecond
	b, err := bus.Connect(bus.Options{Name: t.Name(), InProcess: e})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Fatal(err)
	}
	store := func() (uint64, error) { return b.Publish(t.Context(), contract.HeartbeatSubject(0), []byte("x")) }
	if seq, err := store(); err != nil || seq != 1 {
		t.Fatalf("message %d, %v", seq, err)
	}
	first := e.current()
	var broken atomic.Bool
	broken.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- e.watch(ctx, func() error {
			if broken.Load() && e.current() == first {
				return errors.New("no space left")
			}
			return nil
		})
	}()
	seq, err := store()
	for deadline := time.Now().Add(20 * time.Second); e.current() == first || err != nil; seq, err = store() {
		if time.Now().After(deadline) {
			t.Fatalf("it was not started again: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if seq < 2 {
		t.Errorf("message %d after the restart: the stream began anew", seq)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("watch: %v", err)
	}
}

func TestMadeSecretIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := keepSecret(dir)
	if err != nil || len(first) < 20 {
		t.Fatalf("%q, %v", first.Reveal(), err)
	}
	if again, err := keepSecret(dir); err != nil || again != first {
		t.Errorf("%q, %v: want the same", again.Reveal(), err)
	}
	path := filepath.Join(dir, SecretFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keepSecret(dir); err == nil {
		t.Error("an empty secret would let everybody in")
	}
}
