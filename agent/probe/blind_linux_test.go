package probe_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
)

// TestAMachineThatCannotBeSeenIsNotDown: the nodes that are known keep their names, and nobody is alarmed or restarted.
func TestAMachineThatCannotBeSeenIsNotDown(t *testing.T) {
	tree := proctest.New(t)
	host := probe.Host{Proc: string(tree), StateDir: t.TempDir()}
	p := swarmOf(t, host, map[string]string{})
	for i, name := range []string{"swarm-a", "swarm-b"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		tree.Add(t, 10+i, proctest.P{Args: []string{"bash", "run_rl_swarm.sh"}, Dir: dir})
	}
	if reports, _ := p.Probe(t.Context()); len(reports) != 2 || reports[0].Status != "UP" {
		t.Fatalf("%+v", reports)
	}
	away := string(tree) + ".away"
	if err := os.Rename(string(tree), away); err != nil {
		t.Fatal(err)
	}
	// No list of processes: a file is in its place.
	if err := os.WriteFile(string(tree), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reports, findings := p.Probe(t.Context())
	if len(reports) != 2 || len(findings) != 1 || findings[0].Verdict != probe.VerdictUnseen {
		t.Errorf("%+v, %+v", reports, findings)
	}
	for i, name := range []string{"swarm-a", "swarm-b"} {
		if r := reports[i]; r.Name != name || r.Status != "DEGRADED" || r.Reason != "probe_unseen" || !strings.Contains(r.Evidence, "cannot be listed") {
			t.Errorf("%+v", r)
		}
	}
	g := genericOf(t, host, map[string]string{"PROCESS_PATTERNS": "swarm"})
	is(t, g, "DEGRADED", "no_process", "cannot be listed")
}

// TestHiddenProcesses of other users: no node is seen, and nobody knows whether there is one. One that was seen once and
// is not seen any more is down.
func TestHiddenProcesses(t *testing.T) {
	tree := proctest.New(t)
	tree.Remove(t, 1)
	if err := os.Mkdir(filepath.Join(string(tree), "self"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := swarmOf(t, probe.Host{Proc: string(tree), StateDir: t.TempDir()}, map[string]string{})
	look := func(status, reason string) {
		t.Helper()
		if r, _ := p.Probe(t.Context()); len(r) != 1 || r[0].Status != status || r[0].Reason != reason {
			t.Errorf("%+v, want %s, %s", r, status, reason)
		}
	}
	look("DEGRADED", "probe_unseen")
	tree.Add(t, 10, proctest.P{Args: []string{"bash", "run_rl_swarm.sh"}, Dir: t.TempDir()})
	look("UP", "starting")
	tree.Remove(t, 10)
	look("DOWN", "no_process")
}

// TestSessionsOfOthers that this user may not list: their processes tell of those that they were started with, of others
// nobody knows.
func TestSessionsOfOthers(t *testing.T) {
	if dir := os.Getenv("SESSIONS_OF_OTHERS"); dir != "" {
		sessionsOfOthers(t, dir)
		return
	}
	dir, err := os.MkdirTemp("", "sessions-*") // others may go through it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.Chmod(dir, 0o755))
	do(os.Mkdir(filepath.Join(dir, "S-root"), 0))
	do(os.Mkdir(filepath.Join(dir, "S-open"), 0o755))
	do(os.Mkdir(filepath.Join(dir, "tmux-0"), 0o755))
	do(os.WriteFile(filepath.Join(dir, "tmux-0", "default"), nil, 0))
	for _, fixture := range []struct {
		name string
		args [][]string
	}{
		{"none", nil},
		{"other", [][]string{{"SCREEN", "-dmS", "other"}, {"tmux", "new", "-s", "other"}, {"vim", "-S", "gensyn"}}},
		{"there", [][]string{{"SCREEN", "-dmS", "gensyn", "bash"}, {"/usr/bin/tmux", "new-session", "-ds", "gensyn"}}},
	} {
		tree := proctest.Tree(filepath.Join(dir, fixture.name))
		do(os.Mkdir(string(tree), 0o755))
		for i, args := range fixture.args {
			tree.Add(t, 10+i, proctest.P{Args: args})
		}
	}
	if os.Geteuid() != 0 {
		sessionsOfOthers(t, dir)
		return
	}
	// Root sees everything.
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSessionsOfOthers$", "-test.v")
	cmd.Env = append(os.Environ(), "SESSIONS_OF_OTHERS="+dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestSessionsOfOthers") {
		t.Errorf("%v\n%s", err, out)
	}
}

// sessionsOfOthers is the test as nobody.
func sessionsOfOthers(t *testing.T, dir string) {
	check := func(what string, p probe.Probe, passed, blind bool) {
		t.Helper()
		if r := p.Check(t.Context()); r.Passed() != passed || r.Blind != blind {
			t.Errorf("%s: %+v, want passed %v, blind %v", what, r, passed, blind)
		}
	}
	for _, tt := range []struct {
		tree          string
		passed, blind bool
	}{{"none", false, true}, {"other", false, true}, {"there", true, false}} {
		root := filepath.Join(dir, tt.tree)
		check("screen, "+tt.tree, &probe.Screen{
			Name: "gensyn", Sockets: filepath.Join(dir, "S-*"), ProcRoot: root, List: lists("No Sockets found.\n", nil),
		}, tt.passed, tt.blind)
		check("tmux, "+tt.tree, &probe.Tmux{Name: "gensyn", Sockets: filepath.Join(dir, "tmux-*/*"), Root: root}, tt.passed, tt.blind)
	}
	check("directories that can be read", &probe.Screen{
		Name: "gensyn", Sockets: filepath.Join(dir, "S-open"), ProcRoot: filepath.Join(dir, "none"), List: lists("No Sockets found.\n", nil),
	}, false, false)
}
