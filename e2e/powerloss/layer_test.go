package powerloss

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// mounted is a disk that begins with one file, "old".
func mounted(t *testing.T, m *Machine) (*Disk, string) {
	t.Helper()
	from, at := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(from, "old"), []byte("before"), 0o640))
	return mount(t, m, from, at), at
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// now lists what would survive, as "name=content", if the power went now.
func now(t *testing.T, d *Disk, mode Mode) string {
	t.Helper()
	dst := t.TempDir()
	must(t, d.Survivor(dst, d.machine.Position(), mode, rand.New(rand.NewPCG(1, 2))))
	var out []string
	must(t, filepath.Walk(dst, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out = append(out, fmt.Sprintf("%s=%s", strings.TrimPrefix(path, dst+"/"), strings.ReplaceAll(string(data), "\x00", "0")))
		return err
	}))
	slices.Sort(out)
	return strings.Join(out, " ")
}

func open(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags|os.O_CREATE, 0o644)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func put(t *testing.T, f *os.File, text string) {
	t.Helper()
	_, err := f.WriteString(text)
	must(t, err)
}

func syncDir(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	must(t, f.Sync(), f.Close())
}

// What survives is what a completed fsync covers. Each step says what is left if the power goes after it.
func TestSurvivors(t *testing.T) {
	m := machine(t)
	for _, c := range []struct {
		name                         string
		do                           func(t *testing.T, dir string)
		journalled, ownName, minimal string
	}{
		{"nothing done", func(*testing.T, string) {}, "old=before", "old=before", "old=before"},
		{"written, not synced", func(t *testing.T, dir string) {
			put(t, open(t, dir+"/old", os.O_RDWR), "AFTER!")
		}, "old=before", "old=before", "old=before"},
		{"synced, and then more", func(t *testing.T, dir string) {
			f := open(t, dir+"/old", os.O_WRONLY|os.O_APPEND)
			put(t, f, "+1")
			must(t, f.Sync())
			put(t, f, "+2")
		}, "old=before+1", "old=before+1", "old=before+1"},
		{"fdatasync", func(t *testing.T, dir string) {
			f := open(t, dir+"/old", os.O_WRONLY|os.O_APPEND)
			put(t, f, "+1")
			must(t, syscall.Fdatasync(int(f.Fd())))
		}, "old=before+1", "old=before+1", "old=before+1"},
		{"O_DSYNC", func(t *testing.T, dir string) {
			put(t, open(t, dir+"/old", os.O_WRONLY|syscall.O_DSYNC), "AFTER!")
		}, "old=AFTER!", "old=AFTER!", "old=AFTER!"},
		{"O_SYNC", func(t *testing.T, dir string) {
			put(t, open(t, dir+"/old", os.O_WRONLY|syscall.O_SYNC), "AFTER!")
		}, "old=AFTER!", "old=AFTER!", "old=AFTER!"},
		{"a new file synced, its folder not", func(t *testing.T, dir string) {
			f := open(t, dir+"/new", os.O_WRONLY)
			put(t, f, "x")
			must(t, f.Sync())
		}, "new=x old=before", "new=x old=before", "old=before"},
		{"its folder, too", func(t *testing.T, dir string) {
			f := open(t, dir+"/new", os.O_WRONLY)
			put(t, f, "x")
			must(t, f.Sync())
			syncDir(t, dir)
		}, "new=x old=before", "new=x old=before", "new=x old=before"},
		{"a new file not synced, another is", func(t *testing.T, dir string) {
			put(t, open(t, dir+"/new", os.O_WRONLY), "x")
			f := open(t, dir+"/other", os.O_WRONLY)
			put(t, f, "y")
			must(t, f.Sync())
		}, "new= old=before other=y", "old=before other=y", "old=before"},
		{"a sync of a file that nothing happened to commits nothing", func(t *testing.T, dir string) {
			open(t, dir+"/new", os.O_WRONLY)
			must(t, open(t, dir+"/old", os.O_WRONLY).Sync())
		}, "old=before", "old=before", "old=before"},
		{"replaced by a synced file, the folder not synced", func(t *testing.T, dir string) {
			f := open(t, dir+"/tmp", os.O_WRONLY)
			put(t, f, "x")
			must(t, f.Sync(), os.Rename(dir+"/tmp", dir+"/old"))
		}, "old=before tmp=x", "old=before tmp=x", "old=before"},
		{"replaced, the folder synced", func(t *testing.T, dir string) {
			f := open(t, dir+"/tmp", os.O_WRONLY)
			put(t, f, "x")
			must(t, f.Sync(), os.Rename(dir+"/tmp", dir+"/old"))
			syncDir(t, dir)
		}, "old=x", "old=x", "old=x"},
		{"replaced by a file never synced", func(t *testing.T, dir string) {
			put(t, open(t, dir+"/tmp", os.O_WRONLY), "x")
			must(t, os.Rename(dir+"/tmp", dir+"/old"))
			syncDir(t, dir)
		}, "old=", "old=", "old="},
		{"removed, not synced", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/old")) }, "old=before", "old=before", "old=before"},
		{"removed, synced", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/old"))
			syncDir(t, dir)
		}, "", "", ""},
		{"shortened without a sync of its own", func(t *testing.T, dir string) {
			must(t, os.Truncate(dir+"/old", 3))
			must(t, open(t, dir+"/other", os.O_WRONLY).Sync())
		}, "old=bef other=", "old=before other=", "old=before"},
		{"a hole reads as zeros", func(t *testing.T, dir string) {
			f := open(t, dir+"/old", os.O_RDWR)
			_, err := f.WriteAt([]byte("x"), 8)
			must(t, err, f.Sync())
		}, "old=before00x", "old=before00x", "old=before00x"},
		{"two names and a folder", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/sub", 0o755), os.Link(dir+"/old", dir+"/sub/also"))
			put(t, open(t, dir+"/sub/also", os.O_WRONLY|os.O_SYNC), "BE")
			syncDir(t, dir+"/sub")
			syncDir(t, dir)
		}, "old=BEfore sub/also=BEfore", "old=BEfore sub/also=BEfore", "old=BEfore sub/also=BEfore"},
		{"a folder whose own name is not synced", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/sub", 0o755))
			put(t, open(t, dir+"/sub/in", os.O_WRONLY|os.O_SYNC), "x")
			syncDir(t, dir+"/sub")
		}, "old=before sub/in=x", "old=before sub/in=x", "old=before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, at := mounted(t, m)
			c.do(t, at)
			for mode, want := range map[Mode]string{Journalled: c.journalled, OwnName: c.ownName, Minimal: c.minimal} {
				if got := now(t, d, mode); got != want {
					t.Errorf("%v: %q, want %q", mode, got, want)
				}
			}
		})
	}
}

// What a program reads is what was written, synced or not, in pieces of any size.
func TestReadsWhatWasWritten(t *testing.T) {
	_, at := mounted(t, machine(t))
	chance := rand.New(rand.NewPCG(3, 4))
	want := make([]byte, 3<<20)
	f := open(t, at+"/large", os.O_RDWR)
	must(t, f.Truncate(int64(len(want))))
	for range 60 {
		piece := make([]byte, chance.IntN(300<<10))
		for i := range piece {
			piece[i] = byte(chance.Uint32())
		}
		off := chance.IntN(len(want) - len(piece))
		copy(want[off:], piece)
		_, err := f.WriteAt(piece, int64(off))
		must(t, err)
	}
	got, err := os.ReadFile(at + "/large")
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("the file differs from what was written")
	}
}

// Torn writes leave old and new sectors, never anything else, and what is synced stays whole.
func TestTorn(t *testing.T) {
	d, at := mounted(t, machine(t))
	f := open(t, at+"/page", os.O_RDWR)
	put(t, f, strings.Repeat("a", 8192))
	must(t, f.Sync())
	syncDir(t, at)
	_, err := f.WriteAt(bytes.Repeat([]byte("b"), 8000), 100)
	must(t, err)
	chance := rand.New(rand.NewPCG(5, 6))
	seen := map[string]int{}
	for range 60 {
		dst := t.TempDir()
		must(t, d.Survivor(dst, d.machine.Position(), Torn, chance))
		data, err := os.ReadFile(dst + "/page")
		must(t, err)
		if len(data) != 8192 || bytes.Trim(data, "ab") != nil && len(bytes.Trim(data, "ab")) > 0 || bytes.Contains(data[:100], []byte("b")) {
			t.Fatalf("%d bytes that were never written", len(bytes.Trim(data, "ab")))
		}
		switch n := bytes.Count(data, []byte("b")); n {
		case 0:
			seen["old"]++
		case 8000:
			seen["new"]++
		default:
			seen["torn"]++
		}
	}
	if len(seen) != 3 {
		t.Errorf("outcomes %v, want old, new and torn", slices.Sorted(maps.Keys(seen)))
	}
}

// Nothing is written behind the journal's back: a shared mapping is refused, but for SQLite's index.
func TestMapping(t *testing.T) {
	// A page fault holds what goroutines run on: were the server one of them, this would wait for ever.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	_, at := mounted(t, machine(t))
	for name, want := range map[string]error{"/data": syscall.ENODEV, "/db-shm": nil} {
		f := open(t, at+name, os.O_RDWR)
		must(t, f.Truncate(4096))
		m, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if !errors.Is(err, want) {
			t.Errorf("mmap of %s: %v, want %v", name, err, want)
		}
		if err == nil {
			m[0] = 1
			must(t, syscall.Munmap(m))
		}
	}
}
