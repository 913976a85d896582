package probe_test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// As a child of these tests the test program says that it runs, and ends with its input.
func TestMain(m *testing.M) {
	if os.Getenv("PROBE_TEST_CHILD") != "" {
		fmt.Println("running")
		if i := slices.Index(os.Args, "rgym_exp.runner.swarm_launcher"); i > 0 {
			launch()
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// launch makes the processes that a launcher makes: a copy of itself, which starts p2pd.
func launch() {
	name, args := os.Args[0], slices.Clone(os.Args[1:])
	if os.Getenv("PROBE_TEST_FORKED") != "" {
		dir, _ := os.Getwd()
		name, args = "p2pd", []string{"-b=1", "-id=" + filepath.Join(dir, "swarm.pem")}
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PROBE_TEST_FORKED=1")
	if name == "p2pd" {
		cmd.Env = append(cmd.Env, "PROBE_TEST_CHILD=1")
	}
	// It ends with this one, also when that is killed.
	in, err := cmd.StdinPipe()
	if err != nil {
		panic(err)
	}
	_ = in
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

// proc makes a proc file system.
type proc string

func (root proc) add(t *testing.T, pid, parent int, comm string, args ...string) {
	t.Helper()
	write := func(name, text string) {
		file := filepath.Join(string(root), strconv.Itoa(pid), name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line := ""
	for _, a := range args {
		line += a + "\x00"
	}
	write("cmdline", line)
	write("comm", comm+"\n")
	write("stat", fmt.Sprintf("%d (%s) S %d 1 1 0 -1", pid, comm, parent))
}

const self = 500

// newProc has this agent, started by a shell that init started.
func newProc(t *testing.T) proc {
	root := proc(t.TempDir())
	root.add(t, 1, 0, "systemd", "/sbin/init")
	root.add(t, 400, 1, "bash", "bash", "-c", "cd /root/rl-swarm && gensyn-agent run")
	root.add(t, self, 400, "gensyn-agent", "/root/rl-swarm/gensyn-agent", "run")
	root.add(t, 2, 0, "kthreadd")
	if err := os.WriteFile(filepath.Join(string(root), "uptime"), []byte("1 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestProcess(t *testing.T) {
	long := strings.Repeat("x", 40<<10)
	tests := []struct {
		name string
		add  func(t *testing.T, p proc)
		up   bool
	}{
		{"only the agent and its shell", func(*testing.T, proc) {}, false},
		{"script", func(t *testing.T, p proc) { p.add(t, 600, 1, "bash", "bash", "./run_rl_swarm.sh") }, true},
		{"directory", func(t *testing.T, p proc) { p.add(t, 600, 1, "node", "node", "/root/rl-swarm/server.js") }, true},
		{"python", func(t *testing.T, p proc) { p.add(t, 600, 1, "python3", "python3", "-m", "rl-swarm") }, true},
		{"over two arguments", func(t *testing.T, p proc) { p.add(t, 600, 1, "a", "run_rl_swarm", "sh") }, true},
		{"another name", func(t *testing.T, p proc) { p.add(t, 600, 1, "a", "rl_swarm", "swarm") }, false},
		{"process 1 of a container", func(t *testing.T, p proc) { p.add(t, 1, 0, "bash", "bash", "run_rl_swarm.sh") }, true},
		{"child of the agent", func(t *testing.T, p proc) { p.add(t, 600, self, "sh", "sh", "-c", "cat /rl-swarm/ip") }, false},
		{"grandchild of the agent", func(t *testing.T, p proc) {
			p.add(t, 600, self, "sh", "sh")
			p.add(t, 601, 600, "cat", "cat", "/rl-swarm/ip")
		}, false},
		{"sibling of the agent", func(t *testing.T, p proc) { p.add(t, 600, 400, "bash", "bash", "run_rl_swarm.sh") }, true},
		{"a name that is hard to parse", func(t *testing.T, p proc) { p.add(t, 600, 1, "a) S 500 (", "rl-swarm") }, true},
		{"parents in a ring", func(t *testing.T, p proc) {
			p.add(t, 600, 601, "a", "rl-swarm")
			p.add(t, 601, 600, "b", "b")
		}, true},
		{"at the begin of a long line", func(t *testing.T, p proc) { p.add(t, 600, 1, "a", "rl-swarm", long) }, true},
		{"after a long line", func(t *testing.T, p proc) {
			p.add(t, 550, 1, "a", long)
			p.add(t, 600, 1, "a", "rl-swarm")
		}, true},
		{"gone while looking", func(t *testing.T, p proc) {
			if err := os.Mkdir(filepath.Join(string(p), "600"), 0o755); err != nil {
				t.Fatal(err)
			}
			p.add(t, 601, 1, "a", "rl-swarm")
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := newProc(t)
			tt.add(t, root)
			p := &probe.Process{Pattern: probe.RLSwarm, Root: string(root), Self: self}
			for range 2 { // the buffer is reused
				r := p.Check(t.Context())
				if r.Passed() != tt.up {
					t.Fatalf("%+v, want up: %v", r, tt.up)
				}
				if !tt.up && (r.Reason != "no_process" || !strings.Contains(r.Evidence, "rl-swarm")) {
					t.Errorf("%+v does not say what is missing", r)
				}
			}
		})
	}
}

func TestProcessesThatCannotBeListed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proc")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p := &probe.Process{Pattern: probe.RLSwarm, Root: file}
	if r := p.Check(t.Context()); r.Reason != "no_process" || !strings.Contains(r.Evidence, "cannot be listed") {
		t.Errorf("%+v", r)
	}
}

// child starts a process with name among its arguments and returns its id and what ends it.
func child(t *testing.T, name string) (int, func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "python3", name)
	cmd.Env = append(os.Environ(), "PROBE_TEST_CHILD=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		in.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	return cmd.Process.Pid, end
}

func TestProcessThatIsReal(t *testing.T) {
	name := "rl-swarm-" + rand.Text()
	pattern := regexp.MustCompile("python.*" + name)
	other, _ := child(t, "agent")
	p := &probe.Process{Pattern: pattern, Root: "/proc", Self: other}
	if r := p.Check(t.Context()); r.Passed() {
		t.Fatal("found before it was started")
	}
	_, end := child(t, name)
	if r := p.Check(t.Context()); !r.Passed() {
		t.Errorf("%+v while it runs", r)
	}
	mine := &probe.Process{Pattern: pattern, Root: "/proc", Self: os.Getpid()}
	if mine.Check(t.Context()).Passed() {
		t.Error("a child of the agent counts")
	}
	end()
	if p.Check(t.Context()).Passed() {
		t.Error("found after it ended")
	}
}

func BenchmarkProcess(b *testing.B) {
	p := &probe.Process{Pattern: regexp.MustCompile("no such " + rand.Text()), Root: "/proc", Self: os.Getpid()}
	b.ReportAllocs()
	for b.Loop() {
		p.Check(b.Context())
	}
}
