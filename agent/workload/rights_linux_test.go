package workload_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer/peertest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/workload"
)

// TestWithoutTheRight: what may not be seen is said, and does not count against the node.
func TestWithoutTheRight(t *testing.T) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.write(filepath.Join(dir, "swarm.pem"), r.identity())
	r.script(100, dir)
	r.launcher(200, 100, dir)
	r.log(dir, "🐝 Joining round: 7")
	if n := r.want(workload.Training, "UP", "training", "Joining round: 7"); n.Workload.PeerID == "" {
		t.Errorf("%+v", n.Workload)
	}
	r.state = filepath.Join(t.TempDir(), "state.json") // of another agent
	r.restart()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	r.pass(2 * time.Hour)
	if err := os.Chmod(filepath.Dir(string(r.tree)), 0o755); err != nil {
		t.Fatal(err)
	}
	n := asNobody(t, r)
	if n.View.Phase != workload.Running || n.Status != "UP" || !strings.Contains(n.View.Evidence, "none of its logs can be read") {
		t.Errorf("%+v", n)
	}
	unseen := ""
	for _, s := range n.Seen {
		if s.Not {
			unseen += s.What + ": " + s.Saw + "\n"
		}
	}
	if !strings.Contains(unseen, "identity: this user may not see it\n") || !strings.Contains(unseen, "swarm_launcher.log") || n.Workload.Dir != dir {
		t.Errorf("%s%+v", unseen, n.Workload)
	}
}

// TestNamesWithoutTheRight: a checkout that may not be seen below a key that may.
func TestNamesWithoutTheRight(t *testing.T) {
	r, dir := working(t)
	r.write(filepath.Join(dir, "swarm.pem"), r.identity())
	names := filepath.Join(dir, "rgym_exp/src/utils/name_utils.py")
	r.write(names, peertest.Source(peertest.Lists()))
	if err := os.Chmod(names, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(string(r.tree)), 0o755); err != nil {
		t.Fatal(err)
	}
	r.state = filepath.Join(t.TempDir(), "state.json") // of another agent
	r.restart()
	n := asNobody(t, r)
	want := workload.Sight{What: "names", Saw: "this user may not see them; the name of the peer comes from its log", Not: true}
	if !slices.Contains(n.Seen, want) || n.Workload.PeerID == "" || n.Workload.PeerName != "" {
		t.Errorf("%+v", n)
	}
	if err := os.Chmod(names, 0o644); err != nil {
		t.Fatal(err)
	}
	if n = asNobody(t, r); n.Workload.PeerName != peertest.Name(n.Workload.PeerID) {
		t.Errorf("with the right: %+v", n)
	}
}

// asNobody looks with the rights of nobody: a thread of its own, which ends with the look, sees files so.
func asNobody(t *testing.T, r *rig) workload.Node {
	t.Helper()
	var nodes []workload.Node
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				done <- err
				return
			}
		}
		var err error
		nodes, err = r.watcher.Look(t.Context())
		done <- err
	}()
	if err := <-done; err != nil || len(nodes) != 1 {
		t.Fatalf("%v, %+v", err, nodes)
	}
	return nodes[0]
}
