package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// As a child of these tests the test program is the agent itself.
func TestMain(m *testing.M) {
	if os.Getenv("AGENT_TEST_CHILD") != "" {
		main()
	}
	os.Exit(m.Run())
}

// monitor records heartbeats and answers as told.
type monitor struct {
	*httptest.Server
	heartbeats chan contract.Heartbeat
}

func newMonitor(t *testing.T, answer http.HandlerFunc) *monitor {
	t.Helper()
	m := &monitor{heartbeats: make(chan contract.Heartbeat, 100)}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var h contract.Heartbeat
		if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
			t.Errorf("body: %v", err)
		}
		m.heartbeats <- h
		answer(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

func accept(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }

func refuse(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"detail":"Unauthorized"}`)
}

func (m *monitor) next(t *testing.T) contract.Heartbeat {
	t.Helper()
	select {
	case h := <-m.heartbeats:
		return h
	case <-time.After(10 * time.Second):
		t.Fatal("no heartbeat")
		return contract.Heartbeat{}
	}
}

// settings writes a settings file for a node that nothing of runs.
func settings(t *testing.T, server string, more ...string) string {
	t.Helper()
	lines := append([]string{
		"export SERVER_URL=" + server + "/", "SHARED_SECRET='hunter2'", "NODE_ID=from-file",
		"SCREEN_NAME=no-such-session", "PORT=1", "IP_CMD=echo 192.0.2.7", "PROFILE=legacy",
	}, more...)
	dir := t.TempDir()
	lines = append(lines, "STATE_DIR="+filepath.Join(dir, "state"))
	file := filepath.Join(dir, "agent.env")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// call runs the program in this process.
func call(ctx context.Context, env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	p := program{args: args, env: env, stdin: strings.NewReader(""), stdout: &out, stderr: &err}
	code = p.run(ctx)
	return code, out.String(), err.String()
}

func TestOnceAccepted(t *testing.T) {
	m := newMonitor(t, accept)
	file := settings(t, m.URL)
	for name, args := range map[string][]string{
		"before": {"--config", file, "once"}, "after": {"once", "--config", file}, "environment": {"once"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"NODE_ID": "from-environment", "META": "left rack"}
			if name == "environment" {
				env["AGENT_ENV_FILE"] = file
			}
			code, stdout, stderr := call(t.Context(), env, args...)
			if code != 0 || stdout != "" || !strings.Contains(stderr, "heartbeat accepted: DOWN, no_screen") {
				t.Errorf("%d, %q, %q", code, stdout, stderr)
			}
			h := m.next(t)
			if h.NodeID != "from-file" || h.Meta != "left rack" || h.IP != "192.0.2.7" || h.Status != "DOWN" || h.IntervalSec != 0 {
				t.Errorf("%+v", h)
			}
			if !strings.Contains(h.Evidence, ".no-such-session") || !strings.Contains(h.Evidence, "port 1: ") {
				t.Errorf("evidence %q does not tell all that failed", h.Evidence)
			}
		})
	}
}

func TestOnceRefused(t *testing.T) {
	m := newMonitor(t, refuse)
	code, _, stderr := call(t.Context(), nil, "once", "--config", settings(t, m.URL))
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "401 (Unauthorized): SHARED_SECRET is not") {
		t.Errorf("%d, %q", code, stderr)
	}
	if strings.Contains(stderr, "hunter2") {
		t.Errorf("the log shows the secret: %s", stderr)
	}
}

func TestMisuse(t *testing.T) {
	file := settings(t, "http://192.0.2.1")
	broken := settings(t, "http://192.0.2.1", "hunter2")
	missing := filepath.Join(t.TempDir(), "none.env")
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"nothing, and no settings", map[string]string{"AGENT_ENV_FILE": os.DevNull}, nil, "SERVER_URL is missing"},
		{"a flag of another command", nil, []string{"run", "--purge"}, "--purge is not for run"},
		{"forget without a name", nil, []string{"forget"}, "forget needs NAME"},
		{"forget with two names", nil, []string{"forget", "a", "b"}, `"b" is not understood`},
		{"a bad setting of a probe", map[string]string{"PROFILE": "none"}, []string{"once", "--config", settings(t, "http://192.0.2.1", "PROFILE=none")}, `PROFILE="none" is not allowed`},
		{"unknown command", nil, []string{"start"}, `"start" is not understood`},
		{"two commands", nil, []string{"once", "run"}, `"run" is not understood`},
		{"unknown flag", nil, []string{"--fast", "once"}, "-fast"},
		{"flag without a value", nil, []string{"once", "--config"}, "needs an argument"},
		{"no such file", nil, []string{"once", "--config", missing}, "none.env"},
		{"no such file in the environment", map[string]string{"AGENT_ENV_FILE": missing}, []string{"once"}, "none.env"},
		{"broken file", nil, []string{"once", "--config", broken}, "agent.env: line 8: it must be NAME=VALUE"},
		{"missing setting", nil, []string{"run", "--config", os.DevNull}, "SERVER_URL is missing"},
		{"bad value in the environment", map[string]string{"INTERVAL_SEC": "1h"}, []string{"run", "--config", file}, `INTERVAL_SEC="1h" is not allowed`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := call(t.Context(), tt.env, tt.args...)
			if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("%d, %q, %q; want %q", code, stdout, stderr, tt.want)
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("%q shows the secret", stderr)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}} {
		code, stdout, stderr := call(t.Context(), nil, args...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "SHARED_SECRET") || !strings.Contains(stdout, "uninstall") {
			t.Errorf("%q: %d, %q, %q", args, code, stdout, stderr)
		}
	}
	for _, c := range commands {
		for _, args := range [][]string{{c.name, "--help"}, {"--help", c.name}, {"help", c.name}} {
			code, stdout, stderr := call(t.Context(), nil, args...)
			if code != 0 || stderr != "" || c.text != "" && args[0] != "--help" && !strings.Contains(stdout, "Exit status: 0") {
				t.Errorf("%q: %d, %q, %q", args, code, stdout, stderr)
			}
			for _, flag := range strings.Fields(c.flags) {
				if c.text != "" && !strings.Contains(c.text, "--"+flag) {
					t.Errorf("the help of %s does not say --%s", c.name, flag)
				}
			}
		}
	}
	for _, arg := range []string{"version", "--version"} {
		code, stdout, stderr := call(t.Context(), nil, arg)
		if code != 0 || stderr != "" || stdout != buildVersion()+"\n" {
			t.Errorf("%s: %d, %q, %q", arg, code, stdout, stderr)
		}
	}
}

// TestUnknownSettingsAreLogged and do not stop the agent: the file may serve others, too.
func TestUnknownSettingsAreLogged(t *testing.T) {
	m := newMonitor(t, accept)
	code, _, stderr := call(t.Context(), nil, "once", "--config", settings(t, m.URL, "SCREEN_NAM=x"))
	if code != 0 || !strings.Contains(stderr, "agent.env: SCREEN_NAM is not known: did you mean SCREEN_NAME?") {
		t.Errorf("%d, %q", code, stderr)
	}
}

func TestALogFileIsBegunAnew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l := &logFile{name: name}
	defer l.Close()
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 1100 {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]int64{name: 53 * 1001, name + ".1": 1047 * 1001} {
		if info, err := os.Stat(file); err != nil || info.Size() != want {
			t.Errorf("%s: %v, %v; want %d bytes", file, info.Size(), err, want)
		}
	}
	again := &logFile{name: name}
	defer again.Close()
	if _, err := again.Write(line); err != nil || again.size != 54*1001 {
		t.Errorf("%d bytes, %v: a log is gone on with after a restart", again.size, err)
	}
}
