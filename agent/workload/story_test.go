package workload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/workload"
)

const peerLine = "🐱 Hello 🐈 [timid tall spider] 🦮 [QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc]!"

// TestTheLifeOfANode goes through all that a healthy node does, from its first start on.
func TestTheLifeOfANode(t *testing.T) {
	r := newRig(t)
	r.want(workload.Down, "DOWN", "no_process", "no launcher and no script")
	dir := r.node("rl-swarm")
	r.script(100, dir)
	r.stop(101) // yarn still builds the login page
	n := r.want(workload.Starting, "UP", "starting", "script (process 100) began 0 s ago")
	if n.Name != "rl-swarm" || n.Workload.Supervisor != "screen:gensyn" || n.Workload.Dir != dir {
		t.Errorf("%+v", n)
	}

	r.pass(2 * time.Minute)
	r.script(100, dir)
	r.want(workload.Login, "DEGRADED", "login_needed", "userData.json")
	r.write(filepath.Join(dir, "modal-login/temp-data/userData.json"), "{}")
	r.want(workload.Login, "DEGRADED", "login_needed", "userApiKey.json")
	key := filepath.Join(dir, "modal-login/temp-data/userApiKey.json")
	r.write(key, `{"o": [{"publicKey": "04", "activated": false}]}`)
	r.want(workload.Login, "DEGRADED", "login_needed", "userApiKey.json")
	r.write(key, `{"o": [{"publicKey": "04", "activated": true}]}`)
	r.want(workload.Starting, "UP", "starting", "no launcher yet")

	r.add(100, proctest.P{Group: 100, Args: []string{"bash", "./run_rl_swarm.sh"}, Dir: dir, Waits: "wait_woken", Age: 5 * time.Minute})
	r.want(workload.Prompt, "DEGRADED", "prompt", "waits for an answer on its terminal")
	r.script(100, dir)

	r.pass(time.Minute)
	r.launcher(200, 100, dir)
	n = r.want(workload.Starting, "UP", "starting", "launcher (process 200) began 0 s ago, no round yet")
	if n.Workload.Version != "0.5.5-0.6 (rgym)" || n.Workload.RSSBytes != 16*int64(os.Getpagesize()) {
		t.Errorf("%+v", n.Workload)
	}
	r.pass(time.Minute)
	r.log(dir, peerLine, "bootnodes: ['/ip4/38.101.215.15/tcp/30021/p2p/Qm']", "Using Model: Gensyn/Qwen2.5-0.5B-Instruct")
	n = r.want(workload.Starting, "UP", "starting", "Using Model")
	w := n.Workload
	if w.PeerName != "timid tall spider" || w.PeerID != "QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc" || w.Model != "Gensyn/Qwen2.5-0.5B-Instruct" {
		t.Errorf("%+v", w)
	}

	r.pass(time.Minute)
	r.log(dir, "🐝 Joining round: 39512", "Starting round: 39512/1000000.")
	r.pass(30 * time.Second)
	n = r.want(workload.Training, "UP", "training", "Starting round: 39512/1000000.")
	if w = n.Workload; w.Round != 39512 || w.RoundAgeSec != 30 || w.UptimeSec != 150 || w.Restarts != 0 || w.PhaseSec != 0 || w.Disk == nil {
		t.Errorf("%+v", w)
	}
	r.pass(29 * time.Minute)
	r.want(workload.Training, "UP", "training", "39512")

	// It finishes the round, and the swarm is slow: its checks back off to 15 minutes, for hours.
	for _, delay := range []float64{5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900, 900, 900} {
		r.log(dir, fmt.Sprintf("Already finished round: 39512. Next check in %.1fs.", delay))
		n = r.want(workload.Waiting, "UP", "waiting", "Already finished round: 39512")
		if n.Workload.NextSec != delay || n.Workload.RoundAgeSec != 0 {
			t.Errorf("next check in %v s, want %v", n.Workload.NextSec, delay)
		}
		r.pass(time.Duration(delay * float64(time.Second)))
	}
	if n.Workload.PhaseSec < 3600 {
		t.Errorf("waiting for %v s", n.Workload.PhaseSec)
	}
	r.log(dir, "🐝 Joining round: 39513")
	if n = r.want(workload.Training, "UP", "training", "39513"); n.Workload.Round != 39513 {
		t.Errorf("round %d", n.Workload.Round)
	}
}

// working is a rig with one node in round 7 whose launcher is process 200 and whose script is 100.
func working(t *testing.T) (*rig, string) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.script(100, dir)
	r.launcher(200, 100, dir)
	r.look()
	r.pass(10 * time.Minute)
	r.log(dir, "🐝 Joining round: 7")
	r.want(workload.Training, "UP", "training", "Joining round: 7")
	return r, dir
}

func TestStalled(t *testing.T) {
	r, dir := working(t)
	r.watch(30 * time.Minute)
	r.want(workload.Training, "UP", "training", "Joining round: 7")
	// What keeps the log fresh is no progress, and neither is the login page.
	r.log(dir, "http://localhost:3000 \"POST /api/x HTTP/1.1\" 200 None")
	r.pass(time.Second)
	r.want(workload.Stalled, "DEGRADED", "stalled", "nothing of a round for 30 min, since: [")
	r.log(dir, "🐝 Joining round: 8")
	r.want(workload.Training, "UP", "training", "Joining round: 8")
	// A check that was due is not made.
	r.log(dir, "Already finished round: 8. Next check in 900.0s.")
	r.watch(45 * time.Minute)
	r.want(workload.Waiting, "UP", "waiting", "Already finished round: 8")
	r.pass(time.Second)
	r.want(workload.Stalled, "DEGRADED", "stalled", "Already finished round: 8")
}

func TestAStartThatTakesTooLong(t *testing.T) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.script(100, dir)
	r.stop(101)
	r.watch(time.Hour)
	r.want(workload.Starting, "UP", "starting", "1 h 0 min ago, no launcher yet")
	r.pass(time.Second)
	r.want(workload.Overdue, "DEGRADED", "start_overdue", "no launcher yet")
	r.launcher(200, 100, dir)
	r.log(dir, "bootnodes: []")
	r.want(workload.Starting, "UP", "starting", "bootnodes")
	r.watch(time.Hour + time.Second)
	r.want(workload.Stalled, "DEGRADED", "stalled", "no round yet")
}

func TestWithoutALog(t *testing.T) {
	r := newRig(t)
	r.launcher(200, 1, "/nowhere/rl-swarm")
	r.pass(2 * time.Hour)
	n := r.want(workload.Running, "UP", "running", "none of its logs can be read")
	if n.Name != "rl-swarm" {
		t.Errorf("name %q", n.Name)
	}
}

func TestNoPeer(t *testing.T) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.script(100, dir)
	r.launcher(200, 100, dir)
	r.stop(202)
	r.want(workload.Starting, "UP", "starting", "") // it comes later
	r.peer(202, 201, dir)
	r.want(workload.Starting, "UP", "starting", "")
	r.stop(202)
	r.want(workload.NoPeer, "DEGRADED", "no_p2pd", "launcher (process 200) runs, p2pd does not")
	r.peer(202, 201, dir)
	r.want(workload.Starting, "UP", "starting", "")

	r, dir = working(t)
	r.stop(202)
	r.want(workload.NoPeer, "DEGRADED", "no_p2pd", "p2pd")

	r = newRig(t)
	r.launcher(200, 1, r.node("rl-swarm"))
	r.stop(202)
	r.pass(15*time.Minute + time.Second)
	r.want(workload.NoPeer, "DEGRADED", "no_p2pd", "p2pd")
	_ = dir
}

func TestCrashes(t *testing.T) {
	tests := []struct {
		name, text, reason, evidence string
	}{
		{"game", "[genrl][ERROR] - Exception occurred during game run.\nTraceback (most recent call last):\n  File \"x.py\", line 1\nValueError: shapes differ\n", "game_crashed", "Exception occurred during game run. … ValueError: shapes differ"},
		{"game for want of memory", "Exception occurred during game run.\nTraceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n", "out_of_memory", "CUDA out of memory"},
		{"memory, then the script", "RuntimeError: CUDA out of memory\n>> Shutting down trainer...\n", "out_of_memory", "CUDA out of memory"},
		{"p2p", "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Daemon failed to start in 15.0 seconds\n", "p2p_failed", "P2PDaemonError"},
		{"identity", "Identity from /root/rl-swarm/swarm.pem is already taken by another peer\n", "identity_taken", "already taken"},
		{"race", "BlockingIOError: [Errno 11] Resource temporarily unavailable\n", "dht_race", "Errno 11"},
		{"killed", "./run_rl_swarm.sh: line 312: 4242 Killed                  python -m x\n", "out_of_memory", "Killed"},
		{"script", ">> An error was detected while running rl-swarm. See /root/rl-swarm/logs\n", "script_ended", "An error was detected"},
		{"numbers", "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0\n", "bad_numbers", "probability tensor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, dir := working(t)
			r.pass(time.Minute)
			r.plain(filepath.Join(dir, "logs/swarm_launcher.log"), r.now.In(zone).Format("[2006-01-02 15:04:05,000]")+tt.text)
			r.stop(100, 101, 200, 201, 202)
			r.want(workload.Crashed, "DOWN", tt.reason, tt.evidence)
			r.pass(24 * time.Hour)
			r.restart()
			r.want(workload.Crashed, "DOWN", tt.reason, tt.evidence)
			// The next run has nothing to do with it.
			r.script(100, dir)
			r.want(workload.Login, "DEGRADED", "login_needed", "")
			r.launcher(300, 100, dir)
			if n := r.want(workload.Starting, "UP", "starting", "no round yet"); n.Workload.Restarts != 1 {
				t.Errorf("%d restarts", n.Workload.Restarts)
			}
		})
	}
}

func TestTheLauncherIsGone(t *testing.T) {
	t.Run("without a word", func(t *testing.T) {
		r, _ := working(t)
		r.stop(100, 101, 200, 201, 202)
		r.want(workload.Down, "DOWN", "no_process", "no launcher and no script")
	})
	t.Run("the script hangs on", func(t *testing.T) {
		r, _ := working(t)
		r.stop(200, 201, 202)
		r.want(workload.Down, "DOWN", "no_process", "the launcher has ended, script (process 100) still runs")
	})
	t.Run("the login page alone is nothing", func(t *testing.T) {
		r, _ := working(t)
		r.stop(100, 200, 201, 202)
		r.want(workload.Down, "DOWN", "no_process", "left over: next-server")
	})
	t.Run("the kernel killed it", func(t *testing.T) {
		r, _ := working(t)
		r.oomKills(4)
		r.stop(100, 101, 200, 201, 202)
		r.want(workload.Crashed, "DOWN", "out_of_memory", "oom_kill 3 → 4")
	})
	t.Run("its fork and the peer outlive it", func(t *testing.T) {
		r, dir := working(t)
		r.stop(100, 101, 200)
		args := []string{"python", "-m", "rgym_exp.runner.swarm_launcher", "--config-path", filepath.Join(dir, "rgym_exp/config")}
		r.add(201, proctest.P{Args: args, Dir: dir, Age: 10 * time.Minute})
		r.want(workload.Down, "DOWN", "no_process", "python (process 201), p2pd (process 202)")
		// A new run beside the leftovers, and one after it.
		r.pass(time.Minute)
		r.script(300, dir)
		r.launcher(400, 300, dir)
		if n := r.want(workload.Starting, "UP", "starting", "process 400"); n.Workload.UptimeSec != 0 {
			t.Errorf("up for %v s", n.Workload.UptimeSec)
		}
		r.stop(300, 301, 400, 401, 402)
		r.want(workload.Down, "DOWN", "no_process", "python (process 201)")
	})
}

// TestFatalWhileItRuns: some fatal lines are survived, after others the launcher hangs on for ever.
func TestFatalWhileItRuns(t *testing.T) {
	t.Run("the game has ended", func(t *testing.T) {
		r, dir := working(t)
		r.pass(time.Minute)
		r.log(dir, "Exception occurred during game run.")
		r.want(workload.Training, "UP", "training", "Joining round: 7") // it may be about to end
		r.pass(2*time.Minute + time.Second)
		r.want(workload.Crashed, "DOWN", "game_crashed", "Exception occurred during game run.")
		r.log(dir, "🐝 Joining round: 8")
		r.want(workload.Training, "UP", "training", "Joining round: 8")
	})
	t.Run("survived", func(t *testing.T) {
		r, dir := working(t)
		r.pass(time.Minute)
		r.log(dir, "CUDA out of memory, trying a smaller batch")
		r.watch(20 * time.Minute)
		r.want(workload.Training, "UP", "training", "Joining round: 7")
		r.watch(20 * time.Minute)
		r.want(workload.Stalled, "DEGRADED", "out_of_memory", "trying a smaller batch")
		r.log(dir, "🐝 Joining round: 8")
		r.want(workload.Training, "UP", "training", "Joining round: 8")
		r.stop(100, 101, 200, 201, 202)
		r.want(workload.Down, "DOWN", "no_process", "no launcher")
	})
}

func TestTroubles(t *testing.T) {
	troubled := func(t *testing.T) (*rig, string) {
		r, dir := working(t)
		yarn := filepath.Join(dir, "logs/yarn.log")
		for i := range 3 {
			r.want(workload.Training, "UP", "training", "Joining")
			r.plain(yarn, "Error: AA24 signature error\n")
			r.look()
			r.log(dir, fmt.Sprintf("🐝 Joining round: %d", 10+i))
			r.pass(20 * time.Minute)
		}
		r.want(workload.Trouble, "DEGRADED", "not_earning", "3 times in 1 h 0 min: Error: AA24 signature error")
		return r, dir
	}
	t.Run("end with time", func(t *testing.T) {
		r, dir := troubled(t)
		for range 22 {
			r.pass(30 * time.Minute)
			r.log(dir, "🐝 Joining round: 20")
			r.want(workload.Trouble, "DEGRADED", "not_earning", "3 times in")
		}
		r.pass(time.Second)
		r.want(workload.Training, "UP", "training", "Joining round: 20")
	})
	t.Run("end with the run", func(t *testing.T) {
		r, dir := troubled(t)
		r.stop(200, 201, 202)
		r.launcher(300, 100, dir)
		r.pass(time.Minute)
		r.log(dir, "🐝 Joining round: 13")
		r.want(workload.Training, "UP", "training", "Joining round: 13")
	})
}

// TestOldLines: what an earlier run has written says nothing of this one.
func TestOldLines(t *testing.T) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.log(dir, "Already finished round: 5. Next check in 900.0s.", "Exception occurred during game run.")
	r.plain(filepath.Join(dir, "nohup.out"), "Identity from /x is already taken by another peer\n")
	r.pass(time.Minute)
	r.script(100, dir)
	r.launcher(200, 100, dir)
	r.log(dir, peerLine)
	r.plain(filepath.Join(dir, "nohup.out"), "installing\n")
	n := r.want(workload.Starting, "UP", "starting", "Hello")
	if strings.Contains(strings.Join(n.Log, "\n"), "Exception") {
		t.Errorf("old lines are told: %q", n.Log)
	}
	r.pass(5 * time.Minute)
	r.want(workload.Starting, "UP", "starting", "Hello")
}

// TestAnAgentThatComesLate finds the round and its age in a log that it reads for the first time.
func TestAnAgentThatComesLate(t *testing.T) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.script(100, dir)
	r.launcher(200, 100, dir)
	r.pass(time.Minute)
	r.log(dir, "🐝 Joining round: 7")
	r.pass(10 * time.Minute)
	r.log(dir, "something else")
	r.pass(5 * time.Minute)
	if n := r.want(workload.Training, "UP", "training", "Joining round: 7"); n.Workload.RoundAgeSec < 899 || n.Workload.RoundAgeSec > 901 {
		t.Errorf("the round is %v s old, want 15 min", n.Workload.RoundAgeSec)
	}
}

// TestAnAgentThatComesLateToALogWithoutTimes cannot know how old its lines are, and waits for new ones.
func TestAnAgentThatComesLateToALogWithoutTimes(t *testing.T) {
	r := newRig(t)
	dir := r.node("rl-swarm")
	r.launcher(200, 1, dir)
	log := filepath.Join(dir, "logs/swarm.log")
	r.pass(5 * time.Hour)
	r.plain(log, "INFO:hivemind_exp.trainer:timid tall spider:🐝 Joining round: 33 starting at stage: 2\nEOFError: Ran out of input\n")
	r.want(workload.Running, "UP", "running", "nothing of a round in the 0 s since it is watched")
	r.watch(30 * time.Minute)
	r.want(workload.Running, "UP", "running", "30 min")
	r.pass(time.Second)
	r.want(workload.Stalled, "DEGRADED", "stalled", "no round yet")
	r.plain(log, "INFO:hivemind_exp.trainer:timid tall spider:🐝 Joining round: 34 starting at stage: 0\n")
	r.want(workload.Training, "UP", "training", "Joining round: 34")
}

// TestClocksThatStep and machines that sleep make no node stalled, or start anew; a node that stalls is found.
func TestClocksThatStep(t *testing.T) {
	for _, step := range []time.Duration{3 * time.Hour, -3 * time.Hour, 20 * time.Minute, -time.Minute, 1000 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			r, dir := working(t)
			r.watch(15 * time.Minute)
			r.look()
			// The wall clock steps; the time since the kernel started does not.
			r.pass(step)
			r.began = r.began.Add(step)
			for range 2 {
				n := r.want(workload.Training, "UP", "training", "Joining round: 7")
				if n.Workload.Restarts != 0 || n.Workload.UptimeSec != 25*60 {
					t.Errorf("%+v", n.Workload)
				}
				r.restart()
			}
			r.watch(5 * time.Minute)
			r.log(dir, "🐝 Joining round: 8")
			if n := r.want(workload.Training, "UP", "training", "Joining round: 8"); n.Workload.Round != 8 {
				t.Errorf("%+v", n.Workload)
			}
			r.watch(30 * time.Minute)
			r.want(workload.Training, "UP", "training", "Joining round: 8")
			r.pass(time.Second)
			r.want(workload.Stalled, "DEGRADED", "stalled", "Joining round: 8")
		})
	}
	t.Run("a machine that sleeps", func(t *testing.T) {
		r, dir := working(t)
		r.log(dir, "Already finished round: 7. Next check in 900.0s.")
		r.look()
		r.pass(9 * time.Hour)
		r.want(workload.Waiting, "UP", "waiting", "Already finished round: 7")
		r.watch(15 * time.Minute)
		r.want(workload.Waiting, "UP", "waiting", "Already finished round: 7")
	})
}

// TestTheAgentRestarts: it goes on where it was, and reads nothing twice.
func TestTheAgentRestarts(t *testing.T) {
	r, dir := working(t)
	r.pass(10 * time.Minute)
	r.look()
	r.restart()
	n := r.want(workload.Training, "UP", "training", "Joining round: 7")
	if n.Workload.RoundAgeSec != 600 || n.Workload.Restarts != 0 || len(n.Log) != 0 {
		t.Errorf("%+v, %q", n.Workload, n.Log)
	}
	r.log(dir, "🐝 Joining round: 8")
	if n = r.one(); len(n.Log) != 1 || n.Workload.Round != 8 {
		t.Errorf("%+v, %q", n.Workload, n.Log)
	}
	for _, bad := range []string{"", "{", "[null]", `[{"name":""}]`} {
		r.write(r.state, bad)
		r.restart()
		r.want(workload.Training, "UP", "training", "Joining round: 8")
	}
}

// TestALogThatGrowsFast: no more than 64 KiB are read, and lines that were skipped make no node stalled.
func TestALogThatGrowsFast(t *testing.T) {
	r, dir := working(t)
	for range 40 {
		r.pass(time.Minute)
		r.log(dir, "🐝 Joining round: 8", strings.Repeat("x", 70<<10))
		r.want(workload.Training, "UP", "training", "Joining round: 7")
	}
	r.watch(31 * time.Minute)
	r.want(workload.Stalled, "DEGRADED", "stalled", "Joining round: 7")
}

func TestSecretsStay(t *testing.T) {
	r, dir := working(t)
	const secret = "hf_AbCdEfGhIjKlMnOpQrStUvWx"
	r.log(dir, "login me@example.org "+secret, "Exception occurred during game run. token="+secret)
	r.stop(100, 101, 200, 201, 202)
	n := r.want(workload.Crashed, "DOWN", "game_crashed", "token=***")
	state, err := os.ReadFile(r.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(n.Log, n.View.Evidence, string(state)) {
		if strings.Contains(text, secret) || strings.Contains(text, "me@") {
			t.Errorf("told: %s", text)
		}
	}
	if len(n.Log) != 3 {
		t.Errorf("log %q", n.Log)
	}
	info, err := os.Stat(r.state)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file %v, %v", info.Mode(), err)
	}
}
