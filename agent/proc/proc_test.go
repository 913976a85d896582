package proc_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
)

func open(tree proctest.Tree) *proc.Table { return proc.Open(string(tree), proctest.SinceBoot) }

func TestScan(t *testing.T) {
	tree := proctest.New(t)
	tree.Add(t, 2, proctest.P{Name: "kthreadd"})
	tree.Add(t, 20, proctest.P{Args: []string{"python", "-m", "a b"}})
	tree.Add(t, 30, proctest.P{Args: []string{"x"}})
	if err := os.WriteFile(filepath.Join(string(tree), "uptime"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	table := open(tree)
	seen := make(map[int]string)
	if err := table.Scan(t.Context(), func(pid int, line []byte) bool {
		seen[pid] = string(line)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if want := map[int]string{1: "/sbin/init ", 20: "python -m a b ", 30: "x "}; !reflect.DeepEqual(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}
	calls := 0
	_ = table.Scan(t.Context(), func(int, []byte) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls after the first said enough", calls)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.Scan(ended, func(int, []byte) bool { t.Error("called"); return true }); err == nil {
		t.Error("no error of a scan that ended early")
	}
	if err := proc.Open(filepath.Join(t.TempDir(), "none"), nil).Scan(t.Context(), nil); err == nil && runtime.GOOS == "linux" {
		t.Error("no error without a proc file system")
	}
}

func TestProcess(t *testing.T) {
	tree := proctest.New(t)
	log := filepath.Join(t.TempDir(), "out.log")
	id := strings.Repeat("ab12", 16)
	tree.Add(t, 700, proctest.P{
		Parent: 600, Group: 600, Name: "py) S 9 (x", Args: []string{"python", "-m", "a b"}, Dir: "/root/rl swarm",
		Output: log, Env: []string{"A=STY=1.no", "TMUX=/tmp/tmux-0/default,1,0", "STY=42.pts-0.gensyn"},
		Cgroup: "1:cpu:/system.slice/docker.service\n0::/system.slice/docker-" + id + ".scope\n", Age: 90 * time.Second, Pages: 3,
	})
	p, ok := open(tree).Process(700)
	if !ok {
		t.Fatal("not found")
	}
	want := proc.Process{
		PID: 700, Parent: 600, Group: 600, Name: "py) S 9 (x", Args: []string{"python", "-m", "a b"}, Age: 90 * time.Second,
		Begin: proctest.Boot - 90*time.Second, RSS: 3 * int64(os.Getpagesize()), Dir: "/root/rl swarm", Output: log, Fresh: true, Container: id, Screen: "pts-0.gensyn", Tmux: true,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("%+v\nwant\n%+v", p, want)
	}
	if _, ok := open(tree).Process(701); ok {
		t.Error("found a process that is not there")
	}
}

func TestSupervisor(t *testing.T) {
	id := strings.Repeat("0123abcd", 8)
	tests := []struct {
		name    string
		node    proctest.P
		parents [][]string // from the nearest
		want    string
	}{
		{"a plain shell", proctest.P{Cgroup: "0::/user.slice/user-0.slice/session-3.scope\n"}, [][]string{{"bash"}}, ""},
		{"screen by its variable", proctest.P{Env: []string{"STY=7.gensyn"}}, nil, "screen:gensyn"},
		{"screen by its ancestor", proctest.P{}, [][]string{{"bash"}, {"SCREEN", "-dmS", "gensyn", "bash"}}, "screen:gensyn"},
		{"screen without a name", proctest.P{}, [][]string{{"SCREEN"}}, "screen"},
		{"tmux by its variable", proctest.P{Env: []string{"TMUX=/tmp/tmux-0/default,1,0"}}, nil, "tmux"},
		{"tmux by its ancestor", proctest.P{Env: []string{"TMUX=/tmp/x,1,0"}}, [][]string{{"bash"}, {"tmux", "new", "-d", "-s", "swarm"}}, "tmux:swarm"},
		{"systemd", proctest.P{Cgroup: "1:name=systemd:/system.slice/gensyn.service\n"}, nil, "systemd:gensyn.service"},
		{"systemd of a user", proctest.P{Cgroup: "0::/user.slice/user-1000.slice/user@1000.service/app.slice/swarm.service\n"}, nil, "systemd:swarm.service"},
		{"user session", proctest.P{Cgroup: "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n"}, nil, ""},
		{"screen started by systemd", proctest.P{Env: []string{"STY=7.g"}, Cgroup: "0::/system.slice/g.service\n"}, nil, "screen:g"},
		{"docker with cgroupfs", proctest.P{Cgroup: "12:pids:/docker/" + id + "\n0::/\n"}, nil, "docker:0123abcd0123"},
		{"docker with systemd", proctest.P{Cgroup: "0::/system.slice/docker-" + id + ".scope\n"}, nil, "docker:0123abcd0123"},
		{"kubernetes", proctest.P{Cgroup: "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope\n"}, nil, "docker:0123abcd0123"},
		{"docker in a service", proctest.P{Env: []string{"STY=7.g"}, Cgroup: "0::/system.slice/docker.service/" + id + "\n"}, nil, "docker:0123abcd0123"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := proctest.New(t)
			tt.node.Args, tt.node.Parent = []string{"python"}, 99
			for i, args := range tt.parents {
				tree.Add(t, 99-i, proctest.P{Parent: 98 - i, Args: args})
			}
			tree.Add(t, 100, tt.node)
			table := open(tree)
			p, _ := table.Process(100)
			if got := table.Supervisor(p); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestPathOfAContainer(t *testing.T) {
	id := strings.Repeat("0123abcd", 8)
	tree := proctest.New(t)
	tree.Add(t, 9, proctest.P{Args: []string{"python"}, Cgroup: "0::/docker/" + id + "\n"})
	p, _ := open(tree).Process(9)
	if got, want := open(tree).Path(p, "/a/b"), filepath.Join(string(tree), "9/root/a/b"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// An agent in the same container sees the same files.
	self := filepath.Join(string(tree), "self")
	if err := os.MkdirAll(self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(self, "cgroup"), []byte("0::/docker/"+id+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := open(tree).Path(p, "/a/b"); got != "/a/b" {
		t.Errorf("%s from inside", got)
	}
}

func TestAncestorsEnd(t *testing.T) {
	tree := proctest.New(t)
	tree.Add(t, 5, proctest.P{Parent: 6, Args: []string{"a"}})
	tree.Add(t, 6, proctest.P{Parent: 5, Args: []string{"b"}})
	tree.Add(t, 7, proctest.P{Parent: 8, Args: []string{"c"}})
	tree.Add(t, 8, proctest.P{Args: []string{"d"}})
	if got := open(tree).Ancestors(5); len(got) > 64 {
		t.Errorf("a loop of parents gives %d", len(got))
	}
	if got := open(tree).Ancestors(7); !slices.Equal(got, []int{8}) {
		t.Errorf("%v", got)
	}
}

// TestThisMachine finds a real process: its age, memory and directory.
func TestThisMachine(t *testing.T) {
	name := rand.Text()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60.000001")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STY=1."+name)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	table := proc.Open("/proc", nil)
	found := 0
	for began := time.Now(); found == 0 && time.Since(began) < 10*time.Second; { // its command line may not be there yet
		if err := table.Scan(t.Context(), func(pid int, line []byte) bool {
			if string(line) == "sleep 60.000001 " && pid == cmd.Process.Pid {
				found = pid
			}
			return found == 0
		}); err != nil {
			t.Fatal(err)
		}
	}
	p, ok := table.Process(found)
	for began := time.Now(); ok && p.RSS == 0 && time.Since(began) < 10*time.Second; { // it has only just begun
		time.Sleep(time.Millisecond)
		p, ok = table.Process(found)
	}
	if !ok || p.Parent != os.Getpid() || p.RSS <= 0 || p.Age < 0 || p.Age > time.Minute {
		t.Errorf("%+v, %v", p, ok)
	}
	if runtime.GOOS == "linux" && (p.Dir != dir || p.Screen != name) {
		t.Errorf("directory %q, screen %q", p.Dir, p.Screen)
	}
}

// thousand makes a tree like a busy host: 1,000 processes of which some have long command lines.
func thousand(tb testing.TB) proctest.Tree {
	tree := proctest.New(tb)
	for i := range 1000 {
		args := []string{fmt.Sprintf("/usr/lib/program-%d/bin/worker", i), "--config", "/etc/program/config.yaml"}
		if i%10 == 0 {
			args = append(args, strings.Repeat("/usr/share/java/library.jar:", 100))
		}
		tree.Add(tb, 1000+i, proctest.P{Args: args})
	}
	return tree
}

func BenchmarkScanOf1000(b *testing.B) {
	table := open(thousand(b))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		_ = table.Scan(b.Context(), func(int, []byte) bool { n++; return true })
		if n != 1001 {
			b.Fatal(n)
		}
	}
}
