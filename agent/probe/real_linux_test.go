package probe_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// fakeScript does what run_rl_swarm.sh does: a login page, a question, the launcher.
const fakeScript = `#!/bin/bash
export PATH="$PWD/bin:$PATH" PROBE_TEST_CHILD=1
(cd modal-login && exec -a "next-server (v14.2.30)" ../bin/python) &
read -p ">> Would you like to push models you train in the RL swarm to the Hugging Face Hub? [y/N] " answer
mkfifo hold && exec 3<>hold
python -m rgym_exp.runner.swarm_launcher --config-path "$PWD/rgym_exp/config" --config-name rg-swarm.yaml <hold &
wait $!
kill %1
`

// swarmNode is an installation whose programs are this test.
type swarmNode struct {
	*testing.T
	dir     string
	profile probe.Profile
}

func newSwarmNode(t *testing.T) *swarmNode {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "swarm-"+rand.Text()[:8])
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"bin", "logs", "modal-login/temp-data", "rgym_exp/config"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"python", "p2pd"} {
		if err := os.Symlink(me, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "run_rl_swarm.sh"), []byte(fakeScript), 0o755); err != nil {
		t.Fatal(err)
	}
	n := &swarmNode{T: t, dir: dir}
	n.profile, err = probe.Open(map[string]string{"PROFILE": "rl-swarm"}, probe.Host{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, role := range []string{"run_rl_swarm.sh", "next-server", "swarm_launcher", "p2pd"} {
			n.kill(role)
		}
	})
	return n
}

// run runs a program and wants it to succeed.
func (n *swarmNode) run(name string, args ...string) {
	n.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = n.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		n.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// kill ends the processes of this node whose command line holds a text.
func (n *swarmNode) kill(text string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		line, err := os.ReadFile(file)
		cwd, _ := os.Readlink(filepath.Join(filepath.Dir(file), "cwd"))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && strings.HasPrefix(cwd, n.dir) && strings.Contains(string(line), text) && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// report is the one of this node; other nodes may run here.
func (n *swarmNode) report() probe.Report {
	n.Helper()
	reports, _ := n.profile.Probe(n.Context())
	i := slices.IndexFunc(reports, func(r probe.Report) bool { return r.Workload.Dir == n.dir })
	if i < 0 {
		return probe.Report{}
	}
	return reports[i]
}

// await looks until the node is in a phase.
func (n *swarmNode) await(phase, status string) probe.Report {
	n.Helper()
	var r probe.Report
	for begun := time.Now(); time.Since(begun) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if r = n.report(); r.Workload.Phase == phase {
			if r.Status != status {
				n.Errorf("%s: status %s, want %s: %s", phase, r.Status, status, r.Evidence)
			}
			return r
		}
	}
	n.Fatalf("it is %s (%s), want %s", r.Workload.Phase, r.Evidence, phase)
	return r
}

func (n *swarmNode) log(lines ...string) {
	n.Helper()
	f, err := os.OpenFile(filepath.Join(n.dir, "logs/swarm_launcher.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		n.Fatal(err)
	}
	defer f.Close()
	for _, line := range lines {
		fmt.Fprintf(f, "%s[genrl.logging_utils.global_defs][INFO] - %s\n", time.Now().Format("[2006-01-02 15:04:05,000]"), line)
	}
}

// live goes through the life of a node: start starts it, answer answers its question.
func (n *swarmNode) live(supervisor string, start, answer func()) {
	start()
	r := n.await("prompt", "DEGRADED")
	if !strings.Contains(r.Evidence, "waits for an answer on its terminal") || r.Workload.Supervisor != supervisor {
		n.Errorf("%+v", r)
	}
	answer()
	for r = n.await("starting", "UP"); r.Workload.Version == ""; r = n.await("starting", "UP") {
		time.Sleep(50 * time.Millisecond)
	}
	n.log("🐱 Hello 🐈 [timid tall spider] 🦮 [QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc]!", "🐝 Joining round: 39512")
	r = n.await("training", "UP")
	if w := r.Workload; w.Round != 39512 || w.PeerName != "timid tall spider" || w.Supervisor != supervisor || w.RSSBytes <= 0 || w.Disk == nil {
		n.Errorf("%+v", w)
	}
	n.log("Already finished round: 39512. Next check in 640.0s.")
	if r = n.await("waiting", "UP"); r.Workload.NextSec < 600 || r.Workload.NextSec > 640 {
		n.Errorf("next check in %v s", r.Workload.NextSec)
	}
	n.kill("p2pd")
	n.await("no_p2pd", "DEGRADED")
	n.log("Exception occurred during game run. token=hf_AbCdEfGhIjKlMn")
	n.kill("swarm_launcher")
	if r = n.await("crashed", "DOWN"); r.Reason != "game_crashed" || !strings.Contains(r.Evidence, "Exception occurred during game run. token=***") {
		n.Errorf("%+v", r)
	}
	n.kill("run_rl_swarm.sh")
	n.await("crashed", "DOWN")
}

// TestARealScreen runs a node in a session of GNU screen, without telling the agent its name.
func TestARealScreen(t *testing.T) {
	n := newSwarmNode(t)
	name := "probe" + rand.Text()[:8]
	t.Cleanup(func() { _ = exec.Command("screen", "-S", name, "-X", "quit").Run() })
	n.live("screen:"+name, func() { n.run("screen", "-dmS", name, "bash", "./run_rl_swarm.sh") },
		func() { n.run("screen", "-S", name, "-X", "stuff", "n\n") })
}

// TestARealTmux is the same in tmux.
func TestARealTmux(t *testing.T) {
	n := newSwarmNode(t)
	name := "probe" + rand.Text()[:8]
	t.Setenv("TMUX_TMPDIR", t.TempDir()) // a server of its own
	t.Setenv("TMUX", "")
	t.Cleanup(func() { _ = exec.Command("tmux", "kill-server").Run() })
	n.live("tmux:"+name, func() { n.run("tmux", "new-session", "-d", "-s", name, "bash ./run_rl_swarm.sh") },
		func() { n.run("tmux", "send-keys", "-t", name, "n", "Enter") })
}

// TestSessionsByName: the probes of the other profiles find real sessions, and miss them when they have ended.
func TestSessionsByName(t *testing.T) {
	name := "probe" + rand.Text()[:8]
	dir := t.TempDir()
	t.Setenv("TMUX_TMPDIR", dir)
	t.Setenv("TMUX", "")
	start := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	tmux := &probe.Tmux{Name: name, Sockets: dir + "/tmux-*/*"}
	screen := &probe.Screen{Name: name, Sockets: "/run/screen/S-*", ProcRoot: "/proc", List: probe.ListScreens}
	if r := tmux.Check(t.Context()); r.Reason != "no_tmux" || !strings.Contains(r.Evidence, "no tmux server runs") {
		t.Errorf("%+v", r)
	}
	if r := screen.Check(t.Context()); r.Reason != "no_screen" {
		t.Errorf("%+v", r)
	}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "kill-server").Run()
		_ = exec.Command("screen", "-S", name, "-X", "quit").Run()
	})
	start("tmux", "new-session", "-d", "-s", name+"-other", "sleep 60")
	if r := tmux.Check(t.Context()); r.Reason != "no_tmux" {
		t.Errorf("another session counts: %+v", r)
	}
	start("tmux", "new-session", "-d", "-s", name, "sleep 60")
	start("screen", "-dmS", name, "sleep", "60")
	for _, p := range []probe.Probe{tmux, screen} {
		if r := p.Check(t.Context()); !r.Passed() {
			t.Errorf("%+v", r)
		}
	}
	start("tmux", "kill-session", "-t", "="+name)
	start("screen", "-S", name, "-X", "quit")
	for _, p := range []probe.Probe{tmux, screen} {
		r := p.Check(t.Context())
		for begun := time.Now(); r.Passed() && time.Since(begun) < 5*time.Second; r = p.Check(t.Context()) {
			time.Sleep(20 * time.Millisecond)
		}
		if r.Passed() {
			t.Errorf("%T finds a session that has ended", p)
		}
	}
}
