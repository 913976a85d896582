package workload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/workload"
)

// TestAHealthyNodeIsNotToldDown by lines that look worse than they are.
func TestAHealthyNodeIsNotToldDown(t *testing.T) {
	t.Run("a peer that cannot be reached while a round is long", func(t *testing.T) {
		r, dir := working(t)
		r.pass(time.Minute)
		r.log(dir, "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: failed to dial QmRz: all dials failed")
		r.watch(20 * time.Minute)
		r.want(workload.Training, "UP", "training", "Joining round: 7")
		// With no more rounds it is what people should look at, and with no launcher it is why.
		r.watch(20 * time.Minute)
		r.want(workload.Stalled, "DEGRADED", "p2p_failed", "failed to dial")
		r.stop(100, 101, 200, 201, 202)
		r.want(workload.Crashed, "DOWN", "p2p_failed", "failed to dial")
	})
	t.Run("the end of the run before, in a log without times", func(t *testing.T) {
		for _, away := range []time.Duration{10 * time.Hour, time.Minute} {
			r, dir := working(t)
			console := filepath.Join(dir, "nohup.out")
			r.plain(console, ">> Starting\n")
			r.want(workload.Training, "UP", "training", "Joining round: 7")
			// Between two looks it crashes, and begins anew.
			r.pass(away - 30*time.Second)
			r.stop(100, 101, 200, 201, 202)
			r.plain(console, ">> An error was detected while running rl-swarm\n")
			r.script(300, dir)
			r.launcher(400, 300, dir)
			r.log(dir, "🐝 Joining round: 8")
			r.plain(console, ">> Starting\n")
			r.pass(30 * time.Second)
			r.want(workload.Training, "UP", "training", "Joining round: 8")
			r.watch(15 * time.Minute)
			r.want(workload.Training, "UP", "training", "Joining round: 8")
			// The next one is of this run.
			r.plain(console, ">> An error was detected while running rl-swarm\n")
			r.look()
			r.pass(3 * time.Minute)
			r.want(workload.Crashed, "DOWN", "script_ended", "An error was detected")
		}
	})
	t.Run("logs on a disk whose clock is wrong", func(t *testing.T) {
		for _, wrong := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
			r, dir := working(t)
			log := filepath.Join(dir, "logs/swarm_launcher.log")
			for round := range 12 {
				r.pass(5 * time.Minute)
				r.log(dir, fmt.Sprintf("🐝 Joining round: %d", 10+round))
				if err := os.Chtimes(log, r.now.Add(wrong), r.now.Add(wrong)); err != nil {
					t.Fatal(err)
				}
				r.pass(30 * time.Second)
				r.want(workload.Training, "UP", "training", fmt.Sprintf("round: %d", 10+round))
			}
			r.watch(36 * time.Minute) // a look's distance later than it could be known
			r.want(workload.Stalled, "DEGRADED", "stalled", "round: 21")
		}
	})
	t.Run("a start that is tried again and goes on", func(t *testing.T) {
		r := newRig(t)
		dir := r.node("rl-swarm")
		r.script(100, dir)
		r.launcher(200, 100, dir)
		r.pass(time.Minute)
		r.log(dir, "Daemon failed to start in 15.0 seconds")
		r.pass(time.Minute)
		r.log(dir, peerLine, "Using Model: Gensyn/Qwen2.5-0.5B-Instruct")
		r.watch(10 * time.Minute)
		r.want(workload.Starting, "UP", "starting", "Using Model")
	})
}

// TestADeadNodeIsToldDown though something looks alive.
func TestADeadNodeIsToldDown(t *testing.T) {
	t.Run("a start that is not tried again", func(t *testing.T) {
		r := newRig(t)
		dir := r.node("rl-swarm")
		r.script(100, dir)
		r.launcher(200, 100, dir)
		r.pass(time.Minute)
		r.log(dir, peerLine, "Daemon failed to start in 15.0 seconds")
		r.look()
		r.pass(3 * time.Minute)
		r.want(workload.Crashed, "DOWN", "p2p_failed", "Daemon failed to start")
	})
	t.Run("all in one look, in a log without times", func(t *testing.T) {
		r := newRig(t)
		dir := r.node("rl-swarm")
		r.script(100, dir)
		log := filepath.Join(dir, "logs/swarm.log")
		r.plain(log, "installing\n")
		r.look()
		r.launcher(200, 100, dir)
		r.look()
		r.pass(time.Minute)
		r.plain(log, "🐝 Joining round: 33 starting at stage: 2\nException occurred during game run.\n")
		r.want(workload.Training, "UP", "training", "33")
		r.pass(3 * time.Minute)
		r.want(workload.Crashed, "DOWN", "game_crashed", "Exception")
		r.plain(log, "Exception occurred during game run.\n🐝 Joining round: 34 starting at stage: 2\n")
		r.want(workload.Training, "UP", "training", "34")
		r.pass(3 * time.Minute)
		r.want(workload.Training, "UP", "training", "34")
		// The last word counts, too, when a round and a wait come together.
		r.plain(log, "Already finished round: 34. Next check in 10.0s.\n🐝 Joining round: 35 starting at stage: 0\n")
		r.want(workload.Training, "UP", "training", "35")
		r.plain(log, "🐝 Joining round: 36 starting at stage: 0\nAlready finished round: 36. Next check in 10.0s.\n")
		r.want(workload.Waiting, "UP", "waiting", "Already finished round: 36")
	})
	t.Run("others name its script", func(t *testing.T) {
		r, dir := working(t)
		r.stop(100, 101, 200, 201, 202)
		for i, args := range [][]string{
			{"bash", "watchdog.sh", filepath.Join(dir, "run_rl_swarm.sh")},
			{"bash", "-c", "sleep 60; exec " + filepath.Join(dir, "run_rl_swarm.sh")},
			{"bash", "-lc", "while ! pgrep -f run_rl_swarm.sh; do sleep 1; done; cat run_rl_swarm.sh"},
			{"bash", "-o", "pipefail", "watchdog.sh", "run_rl_swarm.sh"},
		} {
			r.add(500+i, proctest.P{Args: args, Dir: dir})
		}
		r.want(workload.Down, "DOWN", "no_process", "no launcher and no script")
		for _, args := range [][]string{
			{"bash", "./run_rl_swarm.sh"}, {"/bin/bash", "-x", dir + "/run_rl_swarm.sh", "--cpu"}, {"-bash", "run_rl_swarm.sh"},
			{"bash", "-o", "pipefail", "run_rl_swarm.sh"}, {"bash", "--norc", "--", "run_rl_swarm.sh"},
		} {
			r.add(600, proctest.P{Args: args, Dir: dir})
			r.want(workload.Starting, "UP", "starting", "script (process 600)")
		}
	})
}
