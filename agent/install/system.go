package install

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Local is this machine.
type Local struct{}

// ReadFile implements System.
func (Local) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// WriteFile implements System.
func (Local) WriteFile(name string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".gensyn-agent-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing after the rename
	_, err = f.Write(data)
	for _, then := range []func() error{func() error { return f.Chmod(mode) }, f.Sync, f.Close} {
		if e := then(); err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err == nil {
		return nil
	}
	// Windows does not replace a program that runs, but lets it be renamed.
	_ = os.Remove(name + ".old")
	if err := os.Rename(name, name+".old"); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// Remove implements System.
func (Local) Remove(name string) error { return os.RemoveAll(name) }

// Glob implements System.
func (Local) Glob(pattern string) []string {
	found, _ := filepath.Glob(pattern) // the patterns are ours, and well formed
	return found
}

// Run implements System.
func (Local) Run(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Dry is a machine on which nothing is changed: what would be written is shown.
type Dry struct {
	System
	Out io.Writer
}

// WriteFile implements System.
func (d Dry) WriteFile(_ string, data []byte, mode fs.FileMode) error {
	if len(data) > 16<<10 {
		fmt.Fprintf(d.Out, "  (%d bytes, mode %v)\n", len(data), mode)
		return nil
	}
	if mode&0o077 == 0 {
		fmt.Fprintf(d.Out, "  (mode %v, not shown: it may hold the secret)\n", mode)
		return nil
	}
	for line := range strings.Lines(string(data)) {
		fmt.Fprintf(d.Out, "  | %s", line)
	}
	return nil
}

// Remove implements System.
func (d Dry) Remove(string) error { return nil }

// Run implements System. What only looks is run.
func (d Dry) Run(ctx context.Context, name string, args ...string) (string, error) {
	if len(args) > 0 && args[0] == "/Query" {
		return d.System.Run(ctx, name, args...)
	}
	return "", nil
}
