// Package proc lists the processes of a machine.
package proc

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxRead bounds what is looked at of one file of a process, such as its command line, in bytes.
const maxRead = 64 << 10

// tick is the unit of times in /proc: USER_HZ is 100 on every architecture that Go knows.
const tick = time.Second / 100

// Table lists processes: from the proc file system of Linux, on other systems from what their kernel says. It is used
// by one goroutine at a time.
type Table struct {
	root      string
	sinceBoot func() time.Duration
	buf       []byte          // reused for everything that is read
	listed    map[int]listing // by the last Scan, on systems without a proc file system
}

// listing is a process as systems without a proc file system list it.
type listing struct {
	Process
	line string
}

// Open makes a table of a proc file system, such as /proc. sinceBoot is the time since the kernel started; nil asks it.
func Open(root string, sinceBoot func() time.Duration) *Table {
	if sinceBoot == nil {
		sinceBoot = SinceBoot
	}
	return &Table{root: root, sinceBoot: sinceBoot, buf: make([]byte, maxRead)}
}

// Scan calls visit once for every process that has a command line: its arguments with spaces between them, valid until
// visit returns or asks the table something else. It ends early with ctx or when visit returns false. The error says
// why there is no list at all.
func (t *Table) Scan(ctx context.Context, visit func(pid int, line []byte) bool) error {
	dir, err := os.Open(t.root)
	if errors.Is(err, fs.ErrNotExist) && list != nil {
		return t.scanList(ctx, visit)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		line := t.read(dir, name+"/cmdline")
		for i, c := range line {
			if c == 0 {
				line[i] = ' '
			}
		}
		if len(line) > 0 && !visit(pid, line) {
			return nil
		}
	}
	return nil
}

// scanList is Scan on systems without a proc file system.
func (t *Table) scanList(ctx context.Context, visit func(pid int, line []byte) bool) error {
	all, err := list(ctx)
	if err != nil {
		return err
	}
	t.listed = make(map[int]listing, len(all))
	for _, l := range all {
		t.listed[l.PID] = l
	}
	for _, l := range all {
		if l.line != "" && !visit(l.PID, []byte(l.line)) {
			break
		}
	}
	return ctx.Err()
}

// Process is what can be seen of one process. Fields that may not be seen are zero.
type Process struct {
	PID, Parent int
	Group       int // of processes, as a shell makes for each job
	Name        string
	Args        []string
	Age         time.Duration
	Begin       time.Duration // when it began, since the kernel started; with its id it tells a process from all others
	RSS         int64         // bytes
	Dir         string        // the current directory
	Output      string        // the file that its standard output goes to, "" when that is no file
	Fresh       bool          // whether Output was emptied, or made, for it
	Container   string        // the id of the container it is in
	Unit        string        // the systemd service it is in
	Screen      string        // the name of the screen session it is in
	Tmux        bool          // whether it is in a tmux session
}

// Process looks at one process; false when it is gone.
func (t *Table) Process(pid int) (Process, bool) {
	if l, ok := t.listed[pid]; ok {
		return l.Process, true
	}
	p := Process{PID: pid}
	if !t.stat(&p) {
		return Process{}, false
	}
	p.Args = strings.Split(strings.TrimRight(string(t.file(pid, "cmdline")), "\x00"), "\x00")
	p.Dir, _ = os.Readlink(t.path(pid, "cwd"))
	t.output(&p)
	p.Container, p.Unit = cgroup(string(t.file(pid, "cgroup")))
	t.session(&p)
	return p, true
}

// InContainer returns the id of a process in a container that is named by the begin of its id, 0 when there is none.
func (t *Table) InContainer(ctx context.Context, id string) (int, error) {
	var pids []int
	err := t.Scan(ctx, func(pid int, _ []byte) bool {
		pids = append(pids, pid)
		return true
	})
	for _, pid := range pids {
		if container, _ := cgroup(string(t.file(pid, "cgroup"))); strings.HasPrefix(container, id) {
			return pid, err
		}
	}
	return 0, err
}

// Waits returns the name of the kernel function that a process waits in, "" when it may not be seen.
func (t *Table) Waits(pid int) string {
	return strings.Trim(string(t.file(pid, "wchan")), "0\n")
}

// Path is where a file that a process of a container names is found from outside.
func (t *Table) Path(p Process, name string) string {
	if p.Container == "" || p.Container == t.ownContainer() {
		return name
	}
	return filepath.Join(t.path(p.PID, "root"), name)
}

func (t *Table) ownContainer() string {
	data, err := os.ReadFile(filepath.Join(t.root, "self/cgroup"))
	if err != nil {
		return ""
	}
	container, _ := cgroup(string(data))
	return container
}

// Parent returns the id of the parent of a process, 0 when unknown.
func (t *Table) Parent(pid int) int {
	if l, ok := t.listed[pid]; ok {
		return l.Parent
	}
	p := Process{PID: pid}
	t.stat(&p)
	return p.Parent
}

// Ancestors returns the ids of the parent of a process, its parent and so on, without process 1.
func (t *Table) Ancestors(pid int) []int {
	var out []int
	// The bound ends a loop that ids reused while we look could make.
	for range 64 {
		if pid = t.Parent(pid); pid <= 1 {
			break
		}
		out = append(out, pid)
	}
	return out
}

// stat reads the line of a process. Its second field is a name in parentheses, which may hold spaces and more
// parentheses: fields count from the last one. They are, from the state on: state ppid pgrp … starttime (19) vsize rss.
func (t *Table) stat(p *Process) bool {
	line := t.file(p.PID, "stat")
	begin, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if begin < 0 || end < begin {
		return false
	}
	p.Name = string(line[begin+1 : end])
	fields := bytes.Fields(line[end+1:])
	value := func(i int) int64 {
		if i >= len(fields) {
			return 0
		}
		v, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		return v
	}
	p.Parent, p.Group = int(value(1)), int(value(2))
	p.Begin = time.Duration(value(19)) * tick
	p.Age = max(t.sinceBoot()-p.Begin, 0)
	p.RSS = value(21) * int64(os.Getpagesize())
	return true
}

// output finds the file behind standard output. One that is not opened for appending was emptied when it was opened.
func (t *Table) output(p *Process) {
	target, err := os.Readlink(t.path(p.PID, "fd/1"))
	if err != nil || !filepath.IsAbs(target) || strings.HasPrefix(target, "/dev/") || strings.HasSuffix(target, " (deleted)") {
		return
	}
	p.Output = target
	for line := range bytes.Lines(t.file(p.PID, "fdinfo/1")) {
		if flags, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			v, err := strconv.ParseInt(string(bytes.TrimSpace(flags)), 8, 64)
			p.Fresh = err == nil && v&0o2000 == 0
		}
	}
}

// session finds the screen or tmux session in the environment, which only the same user and root may see.
func (t *Table) session(p *Process) {
	for entry := range bytes.SplitSeq(t.file(p.PID, "environ"), []byte{0}) {
		if sty, ok := bytes.CutPrefix(entry, []byte("STY=")); ok {
			// PID.NAME
			_, name, _ := strings.Cut(string(sty), ".")
			p.Screen = name
		}
		p.Tmux = p.Tmux || bytes.HasPrefix(entry, []byte("TMUX=/"))
	}
}

func (t *Table) path(pid int, name string) string {
	return filepath.Join(t.root, strconv.Itoa(pid), name)
}

// file reads a file of a process, valid until the next call.
func (t *Table) file(pid int, name string) []byte { return t.read(nil, t.path(pid, name)) }
