//go:build !linux

package proc

import (
	"io"
	"os"
	"path/filepath"
	"time"
)

func (t *Table) read(dir *os.File, name string) []byte {
	if dir != nil {
		name = filepath.Join(dir.Name(), name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	n, _ := io.ReadFull(f, t.buf)
	return t.buf[:n]
}

// SinceBoot is not known on this system.
func SinceBoot() time.Duration { return 0 }
