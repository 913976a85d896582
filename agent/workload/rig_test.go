package workload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer/peertest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/workload"
)

// rig is a machine of fixtures with a clock that the test moves.
type rig struct {
	*testing.T
	tree    proctest.Tree
	home    string // where nodes are installed
	state   string
	now     time.Time
	began   time.Time
	logs    []string
	watcher *workload.Watcher
}

func newRig(t *testing.T) *rig {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// Files get the real time when they are written: the clock of the test begins with it.
	now := time.Now()
	r := &rig{T: t, tree: proctest.New(t), home: home, state: filepath.Join(home, "state.json"), now: now, began: now}
	r.oomKills(3)
	r.restart()
	return r
}

// restart is a new agent with the state of the old one.
func (r *rig) restart() {
	r.Helper()
	p, err := workload.Load(nil)
	if err != nil {
		r.Fatal(err)
	}
	table := proc.Open(string(r.tree), func() time.Duration { return proctest.Boot + r.now.Sub(r.began) })
	r.watcher, err = workload.New(workload.Options{
		Profile: p, Table: table, Proc: string(r.tree), StateFile: r.state, Logs: r.logs, Now: func() time.Time { return r.now },
		Engine: filepath.Join(r.home, "containers"),
	})
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

// watch passes time and looks every five minutes, as an agent does that is there.
func (r *rig) watch(d time.Duration) {
	r.Helper()
	for ; d > 5*time.Minute; d -= 5 * time.Minute {
		r.pass(5 * time.Minute)
		r.look()
	}
	r.pass(d)
}

func (r *rig) oomKills(n int) {
	r.write(filepath.Join(string(r.tree), "vmstat"), fmt.Sprintf("pgfault 1\noom_kill %d\n", n))
}

func (r *rig) write(path, text string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// add makes a process that begins now.
func (r *rig) add(pid int, p proctest.P) {
	r.Helper()
	p.Age = -r.now.Sub(r.began) + p.Age
	r.tree.Add(r, pid, p)
}

// script starts run_rl_swarm.sh of the node dir in a screen session, with the login page.
func (r *rig) script(pid int, dir string) {
	r.Helper()
	r.add(pid, proctest.P{Group: pid, Args: []string{"bash", "./run_rl_swarm.sh"}, Dir: dir, Env: []string{"STY=1.gensyn"}})
	r.add(pid+1, proctest.P{Parent: pid, Group: pid, Args: []string{"next-server (v14.2.30)"}, Dir: filepath.Join(dir, "modal-login")})
}

// launcher starts the launcher of version 0.5.5 and its peer; script is its parent.
func (r *rig) launcher(pid, script int, dir string) {
	r.Helper()
	args := []string{"python", "-m", "rgym_exp.runner.swarm_launcher", "--config-path", filepath.Join(dir, "rgym_exp/config"), "--config-name", "rg-swarm.yaml"}
	r.add(pid, proctest.P{Parent: script, Group: script, Args: args, Dir: dir, Pages: 10, Env: []string{"STY=1.gensyn"}})
	r.add(pid+1, proctest.P{Parent: pid, Group: script, Args: args, Dir: dir, Pages: 5})
	r.peer(pid+2, pid+1, dir)
}

func (r *rig) peer(pid, parent int, dir string) {
	r.Helper()
	r.add(pid, proctest.P{Parent: parent, Args: []string{
		"/root/.venv/lib/python3.12/site-packages/hivemind/hivemind_cli/p2pd", "-autoRelay=0", "-hostAddrs=/ip4/0.0.0.0/tcp/0",
		"-id=" + filepath.Join(dir, "swarm.pem"), "-listen=/unix/tmp/hivemind-p2pd-x.sock",
	}, Pages: 1})
}

// stop ends processes.
func (r *rig) stop(pids ...int) {
	for _, pid := range pids {
		r.tree.Remove(r, pid)
	}
}

// node makes a directory as an installation has it.
func (r *rig) node(name string) string {
	dir := filepath.Join(r.home, name)
	for _, sub := range []string{"logs", "modal-login/temp-data", "rgym_exp/config"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			r.Fatal(err)
		}
	}
	return dir
}

// zone is that of the node's program, which is not the test's.
var zone = time.FixedZone("", 5*3600+45*60)

// log writes lines of the launcher's logger, stamped by the clock of the test.
func (r *rig) log(dir string, lines ...string) {
	r.Helper()
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(r.now.In(zone).Format("[2006-01-02 15:04:05,000]") + "[genrl.logging_utils.global_defs][INFO] - " + line + "\n")
	}
	r.plain(filepath.Join(dir, "logs/swarm_launcher.log"), b.String())
}

// plain adds text to a file, which was changed now by the clock of the test.
func (r *rig) plain(path, text string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		r.Fatal(err)
	}
	if err := os.Chtimes(path, r.now, r.now); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) look() []workload.Node {
	r.Helper()
	nodes, err := r.watcher.Look(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return nodes
}

// one is a look at a machine with one node.
func (r *rig) one() workload.Node {
	r.Helper()
	nodes := r.look()
	if len(nodes) != 1 {
		r.Fatalf("%d nodes: %+v", len(nodes), nodes)
	}
	return nodes[0]
}

// want looks, and compares phase, status and reason; the evidence must hold the text.
func (r *rig) want(phase workload.Phase, status, reason, evidence string) workload.Node {
	r.Helper()
	n := r.one()
	if n.View.Phase != phase || n.Status != status || n.Reason != reason || !strings.Contains(n.View.Evidence, evidence) {
		r.Errorf("after %v: %s, %s, %s: %q\nwant %s, %s, %s: %q", r.now.Sub(r.began), n.View.Phase, n.Status, n.Reason,
			n.View.Evidence, phase, status, reason, evidence)
	}
	if n.Workload.Phase != string(n.View.Phase) {
		r.Errorf("the workload says %q", n.Workload.Phase)
	}
	return n
}

// identity is a key file of a new peer.
func (r *rig) identity() string {
	r.Helper()
	return string(peertest.Key(r))
}
