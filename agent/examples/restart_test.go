//go:build linux

package examples

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// swarm is the directory of a node that the test plays.
type swarm struct {
	t    *testing.T
	root string
}

// script is what run_rl_swarm.sh does as far as it matters: it notes whether the login is there, waits, and deletes the
// login when it ends.
const script = `#!/bin/sh
trap 'rm -f modal-login/temp-data/*.json; exit 0' EXIT TERM HUP
ls modal-login/temp-data > started
while :; do sleep 0.1; done
`

func newSwarm(t *testing.T) *swarm {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &swarm{t, filepath.Join(root, "rl swarm's")}
	s.write("run_rl_swarm.sh", script, 0o755)
	s.write("swarm.pem", "the identity", 0o400)
	return s
}

func (s *swarm) path(name string) string { return filepath.Join(s.root, name) }

func (s *swarm) write(name, text string, mode fs.FileMode) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *swarm) login() {
	s.write("modal-login/temp-data/userData.json", `{"org":{}}`, 0o600)
	s.write("modal-login/temp-data/userApiKey.json", `[{"activated":true}]`, 0o600)
}

// run starts a program of the node. Its end is waited for, so that it is no zombie.
func (s *swarm) run(args ...string) (ended <-chan struct{}) {
	s.t.Helper()
	cmd := exec.Command("sh", args...)
	cmd.Dir = s.root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	s.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})
	return done
}

// p2pd is a process with the arguments that hivemind's daemon has.
func (s *swarm) p2pd(ignore string) <-chan struct{} {
	return s.run("-c", ignore+"while :; do sleep 0.1; done", "/x/hivemind/hivemind_cli/p2pd", "-autonat=1", "-id="+s.path("swarm.pem"))
}

// restart runs the example. The fake screen starts what it is told to, and notes its name.
func (s *swarm) restart(env ...string) (string, error) {
	s.t.Helper()
	bin := s.t.TempDir()
	screen := `#!/bin/sh
echo "$@" | head -1 >> "` + bin + `/calls"
[ "$1" = -dmS ] || exit 1
shift 2
setsid "$@" & echo $! > "` + bin + `/pid"
`
	if err := os.WriteFile(filepath.Join(bin, "screen"), []byte(screen), 0o755); err != nil {
		s.t.Fatal(err)
	}
	example, err := filepath.Abs("restart-rl-swarm.sh")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("sh", example)
	cmd.Env = append(os.Environ(), append([]string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "GENSYN_DIR=" + s.root, "RL_SWARM_PATIENCE=2",
	}, env...)...)
	out, err := cmd.CombinedOutput()
	s.t.Cleanup(func() {
		pid, _ := os.ReadFile(filepath.Join(bin, "pid"))
		var n int
		if _, err := fmt.Sscan(string(pid), &n); err == nil {
			_ = syscall.Kill(-n, syscall.SIGKILL)
		}
	})
	calls, _ := os.ReadFile(filepath.Join(bin, "calls"))
	return string(out) + string(calls), err
}

func (s *swarm) want(name, text string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil || string(data) != text {
		s.t.Errorf("%s: %q, %v; want %q", name, data, err, text)
	}
}

func over(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	case <-time.After(50 * time.Millisecond):
		return false
	}
}

// TestTheLoginOutlivesARestart, and all that is left of the node ends: the old script, which deletes the login at its
// end, and an orphan p2pd that does not listen. Another node of the machine does not notice.
func TestTheLoginOutlivesARestart(t *testing.T) {
	s, other := newSwarm(t), newSwarm(t)
	s.login()
	other.login()
	old, orphan := s.run("./run_rl_swarm.sh"), s.p2pd(`trap "" TERM; `)
	otherScript, otherP2P := other.run("./run_rl_swarm.sh"), other.p2pd("")
	wait(t, s.path("started"))
	if err := os.Remove(s.path("started")); err != nil {
		t.Fatal(err)
	}
	out, err := s.restart("GENSYN_SUPERVISOR=screen:swarm2")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !over(old) || !over(orphan) {
		t.Errorf("something of the old node lives on\n%s", out)
	}
	if over(otherScript) || over(otherP2P) {
		t.Errorf("another node was ended\n%s", out)
	}
	s.want("started", "userApiKey.json\nuserData.json\n")
	s.want("modal-login/temp-data/userData.json", `{"org":{}}`)
	s.want("modal-login/temp-data/userApiKey.json", `[{"activated":true}]`)
	s.want("swarm.pem", "the identity")
	for _, want := range []string{"-S swarm2 -X quit", "-dmS swarm2 sh -c", "killing ", "it runs: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	info, err := os.Stat(s.path(".login-saved"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v: others may read the saved login", info, err)
	}
}

// TestALoginThatIsGoneAlreadyComesFromTheLastTime: the script crashed, and deleted it, before anybody could save it.
func TestALoginThatIsGoneAlreadyComesFromTheLastTime(t *testing.T) {
	s := newSwarm(t)
	s.write(".login-saved/userData.json", "saved", 0o600)
	s.write("modal-login/temp-data/empty", "", 0o600)
	if out, err := s.restart(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.want("modal-login/temp-data/userData.json", "saved")
}

// TestAnEmptyLoginDoesNotReplaceASavedOne.
func TestAnEmptyLoginDoesNotReplaceASavedOne(t *testing.T) {
	s := newSwarm(t)
	s.write(".login-saved/userData.json", "saved", 0o600)
	s.write("modal-login/temp-data/userData.json", "", 0o600)
	if out, err := s.restart(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.want(".login-saved/userData.json", "saved")
	s.want("modal-login/temp-data/userData.json", "saved")
}

func TestWhatFailsSaysSo(t *testing.T) {
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"no directory":      {[]string{"GENSYN_DIR=/nonexistent"}, "no directory /nonexistent: set RL_SWARM_DIR"},
		"another directory": {[]string{"RL_SWARM_DIR=/"}, "no run_rl_swarm.sh in /"},
		"a container":       {[]string{"GENSYN_SUPERVISOR=docker:abc"}, "docker restart"},
		"it ends at once":   {[]string{"RL_SWARM_START=true"}, "it was started and is gone again"},
	} {
		out, err := newSwarm(t).restart(tt.env...)
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 1 || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func wait(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s", file)
		}
	}
}
