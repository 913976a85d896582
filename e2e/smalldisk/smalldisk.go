//go:build linux

// Package smalldisk gives a test a disk that can be filled.
package smalldisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system of its own.
type Disk struct {
	t    *testing.T
	file string // takes the room
}

// Mount puts a disk of so many MiB at dir, which is made where it is missing, until the test ends. Only root may: the
// test of anybody else is skipped.
func Mount(t *testing.T, dir string, mib int) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", mib)); err != nil {
		t.Fatal("mount a small disk: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error("unmount the small disk: ", err)
		}
	})
	return &Disk{t: t, file: filepath.Join(dir, "of another program")}
}

// Fill takes all the room there is, as another program's log would.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err = f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal("filling the disk ended with: ", err)
	}
}

// Free gives the room back.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(d.file); err != nil {
		d.t.Fatal(err)
	}
}
