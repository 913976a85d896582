// Package proctest makes proc file systems for tests.
package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Boot is how long the kernel of every Tree has been running.
const Boot = 30 * 24 * time.Hour

// SinceBoot returns Boot, for proc.Open.
func SinceBoot() time.Duration { return Boot }

// Tree is the root of a proc file system.
type Tree string

// P is one process of a Tree; Parent 0 stands for 1.
type P struct {
	Parent, Group int
	Name          string // the base of the first argument when ""
	Args          []string
	Env           []string
	Dir           string // the current directory; "": it may not be seen
	Output        string // the file behind standard output
	Appends       bool   // whether it is opened for appending
	Cgroup        string
	Root          string // the root directory of its container
	Waits         string // the kernel function it waits in
	Age           time.Duration
	Pages         int // of resident memory
}

// New makes a tree with a process 1.
func New(t testing.TB) Tree {
	tree := Tree(t.TempDir())
	tree.Add(t, 1, P{Args: []string{"/sbin/init"}, Age: Boot})
	return tree
}

// Add makes a process, or changes it.
func (tree Tree) Add(t testing.TB, pid int, p P) {
	t.Helper()
	tree.Remove(t, pid)
	dir := filepath.Join(string(tree), strconv.Itoa(pid))
	if p.Name == "" && len(p.Args) > 0 {
		p.Name = filepath.Base(p.Args[0])
	}
	if p.Parent == 0 && pid != 1 {
		p.Parent = 1
	}
	nul := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return strings.Join(list, "\x00") + "\x00"
	}
	start := int64((Boot - p.Age) / (time.Second / 100))
	files := map[string]string{
		"cmdline":  nul(p.Args),
		"environ":  nul(p.Env),
		"comm":     p.Name + "\n",
		"cgroup":   p.Cgroup,
		"wchan":    p.Waits,
		"fdinfo/1": "pos:\t0\nflags:\t" + map[bool]string{false: "0100001", true: "0102001"}[p.Appends] + "\nmnt_id:\t1\n",
		"stat": fmt.Sprintf("%d (%s) S %d %d %d 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 1000000 %d 18446744073709551615",
			pid, p.Name, p.Parent, p.Group, p.Group, start, p.Pages),
	}
	for _, name := range []string{"fd", "fdinfo"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"cwd": p.Dir, "fd/1": p.Output, "root": p.Root} {
		if target == "" {
			continue
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Remove ends a process.
func (tree Tree) Remove(t testing.TB, pid int) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(string(tree), strconv.Itoa(pid))); err != nil {
		t.Fatal(err)
	}
}
