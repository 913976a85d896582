package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
)

// genericOf opens the profile with settings on a machine of fixtures.
func genericOf(t *testing.T, host probe.Host, settings map[string]string) probe.Profile {
	t.Helper()
	settings["PROFILE"] = "generic"
	p, err := probe.Open(settings, host)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// is probes, and compares status and reason; the evidence must hold the text.
func is(t *testing.T, p probe.Profile, status, reason, evidence string) []probe.Finding {
	t.Helper()
	reports, findings := p.Probe(t.Context())
	if len(reports) != 1 {
		t.Fatalf("reports %+v", reports)
	}
	if r := reports[0]; r.Status != status || r.Reason != reason || !strings.Contains(r.Evidence, evidence) || r.Workload.Kind != "generic" {
		t.Errorf("%+v\nwant %s, %s: %s", r, status, reason, evidence)
	}
	for _, f := range findings {
		if f.Probe == "" || f.Saw == "" || (f.Verdict == "ok") != (f.Mend == "") {
			t.Errorf("finding %+v", f)
		}
	}
	return findings
}

func TestGenericLooksAtWhatIsSet(t *testing.T) {
	tree := proctest.New(t)
	host := probe.Host{Proc: string(tree), Self: 1}
	p := genericOf(t, host, map[string]string{"PROCESS_PATTERNS": `geth --mainnet ;; ^lighthouse bn|^prysm`})
	is(t, p, "DOWN", "no_process", "no process like geth --mainnet; no process like ^lighthouse bn")
	tree.Add(t, 10, proctest.P{Args: []string{"/usr/bin/geth", "--mainnet"}})
	is(t, p, "DOWN", "no_process", "no process like ^lighthouse")
	tree.Add(t, 11, proctest.P{Args: []string{"lighthouse", "bn"}})
	if findings := is(t, p, "UP", "", ""); len(findings) != 2 {
		t.Errorf("findings %+v", findings)
	}
	// The settings file of a first agent brings a session and a port.
	p = genericOf(t, host, map[string]string{"SCREEN_NAME": "no-such-session-here", "PORT": "1, 2", "CHECK_PORT": "true"})
	is(t, p, "DOWN", "no_screen", "port 1: ")
	p = genericOf(t, host, map[string]string{"PROCESS_PATTERNS": "geth", "PORT": "1", "CHECK_PORT": "false"})
	is(t, p, "UP", "", "")
	if err := p.Forget("x"); err == nil {
		t.Error("it forgot a node")
	}
}

func TestGenericRefuses(t *testing.T) {
	for name, values := range map[string][]string{
		"PROCESS_PATTERNS": {"("},
		"PORT":             {"0", "x", "80,65536"},
		"TMUX_SESSION":     {"a b"},
		"HTTP_URL":         {"127.0.0.1:80", "ftp://x"},
		"LOG_FRESH":        {"/a", "/a:x", "/a:0", "a.log:60", ":60"},
		"LOG_PATTERNS":     {"/a|x", "/a||r", "a|x|r", "/a|x|Not A Code", "/a|(|r", "/a|x|" + strings.Repeat("r", 65)},
	} {
		for _, value := range values {
			_, err := probe.Open(map[string]string{"PROFILE": "generic", name: value}, probe.Host{})
			if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("%s=%q is not allowed: it must be ", name, value)) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s=%s: %v", name, value, err)
			}
		}
	}
	for _, settings := range []map[string]string{
		{"HTTP_URL": "http://x", "HTTP_STATUS": "99"}, {"HTTP_URL": "http://x", "HTTP_STATUS": "300-200"},
		{"COMMAND": "true", "COMMAND_SEC": "61"}, {"LOG_PATTERNS": "/a|x|r", "LOG_HOLD_SEC": "0"}, {},
	} {
		settings["PROFILE"] = "generic"
		if _, err := probe.Open(settings, probe.Host{}); err == nil {
			t.Errorf("%v is allowed", settings)
		}
	}
}

func TestHTTP(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/gone", http.StatusFound)
		case "/bad":
			w.WriteHeader(http.StatusBadGateway)
		default:
			fmt.Fprint(w, "<h1>Sign in to Gensyn</h1>")
		}
	}
	s := httptest.NewServer(http.HandlerFunc(answer))
	defer s.Close()
	check := func(path string, more map[string]string) probe.Profile {
		settings := map[string]string{"HTTP_URL": s.URL + path}
		for k, v := range more {
			settings[k] = v
		}
		return genericOf(t, probe.Host{}, settings)
	}
	is(t, check("/", nil), "UP", "", "")
	is(t, check("/moved", nil), "UP", "", "")
	is(t, check("/bad", nil), "DOWN", "http_status", "answered 502 Bad Gateway")
	is(t, check("/bad", map[string]string{"HTTP_STATUS": "200, 500-599"}), "UP", "", "")
	is(t, check("/moved", map[string]string{"HTTP_STATUS": "200"}), "DOWN", "http_status", "302 Found")
	is(t, check("/", map[string]string{"HTTP_TEXT": "Sign in to Gensyn"}), "UP", "", "")
	is(t, check("/", map[string]string{"HTTP_TEXT": "Welcome"}), "DOWN", "http_text", `without the text "Welcome"`)
	s.Close()
	is(t, check("/", nil), "DOWN", "http_failed", "refused")
}

func TestHTTPThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	h := &probe.HTTP{URL: "http://" + l.Addr().String(), Statuses: [][2]int{{200, 399}}}
	if r := h.Check(ctx); r.Reason != "http_failed" || !strings.Contains(r.Evidence, "no answer within") {
		t.Errorf("%+v", r)
	}
}

func TestLogFresh(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	host := probe.Host{Now: func() time.Time { return now }}
	file := filepath.Join(dir, "node.log")
	p := genericOf(t, host, map[string]string{"LOG_FRESH": file + ":600"})
	is(t, p, "DOWN", "stale_log", "node.log does not exist")
	write := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	write("node.log", 10*time.Minute)
	is(t, p, "UP", "", "")
	now = now.Add(time.Second)
	is(t, p, "DOWN", "stale_log", "nothing was written for 10m1s, 10m0s are allowed")
	// Just rotated, and not begun anew yet.
	write("node.log", 10*time.Minute)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	is(t, p, "UP", "", "")
	now = now.Add(time.Second)
	is(t, p, "DOWN", "stale_log", "nothing was written for 10m1s")
	write("node.log", 10*time.Minute+time.Second)
	write("node.log.1", time.Minute) // while it is there, it alone counts
	is(t, p, "DOWN", "stale_log", "")
	p = genericOf(t, host, map[string]string{"LOG_FRESH": dir + "/node*.log:600"})
	is(t, p, "DOWN", "stale_log", "")
	write("node-2.log", time.Minute)
	is(t, p, "UP", "", "")
}

func TestLogPatterns(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	add := func(file, text string) {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	open := func() probe.Profile {
		return genericOf(t, probe.Host{StateDir: dir, Now: func() time.Time { return now }}, map[string]string{
			"LOG_PATTERNS": a + `|FATAL|crashed ;; ` + a + `|disk (full|broken)|disk ;; ` + b + `|FATAL|other`, "LOG_HOLD_SEC": "300",
		})
	}
	add(a, "FATAL of yesterday\n")
	p := open()
	is(t, p, "UP", "", "")
	add(a, "all is well, FATAL no li")
	is(t, p, "UP", "", "")
	add(a, "ne of which the end is missing\ndisk full: token=abc\r\n")
	is(t, p, "DOWN", "disk", "disk full: token=***")
	// A clock that is set back holds nothing up.
	now = now.Add(-24 * time.Hour)
	is(t, p, "DOWN", "disk", "disk full: token=***")
	now = now.Add(5*time.Minute - time.Second)
	is(t, open(), "DOWN", "disk", "disk full") // another process, as a timer starts it
	now = now.Add(time.Second)
	is(t, open(), "UP", "", "")
	add(b, "FATAL\n") // it was made after the first look
	is(t, p, "DOWN", "other", "FATAL")
	if err := os.WriteFile(filepath.Join(dir, "logs.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	is(t, open(), "UP", "", "")
}

func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are those of a Unix shell")
	}
	checkFor := func(seconds, line string) probe.Profile {
		return genericOf(t, probe.Host{}, map[string]string{"COMMAND": line, "COMMAND_SEC": seconds})
	}
	check := func(line string) probe.Profile { return checkFor("20", line) }
	findings := is(t, check("echo fine"), "UP", "", "")
	if findings[0].Saw != "it ended with 0: fine" {
		t.Errorf("%+v", findings)
	}
	is(t, check("echo starting; echo 'peers: 0, api_key=abc' >&2; exit 3"), "DOWN", "command_failed", "the command ended with exit status 3: peers: 0, api_key=***")
	is(t, check("no-such-command-here"), "DOWN", "command_failed", "not found")
	is(t, checkFor("1", "sleep 60"), "DOWN", "command_timeout", "did not end within 1s")
}

// engine is a Docker engine that knows some containers.
func engine(t *testing.T, containers map[string]string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/containers/"), "/json")
		body, ok := containers[name]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			body = `{"message":"No such container: ` + name + `"}`
		}
		fmt.Fprint(w, body)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return socket
}

func TestContainer(t *testing.T) {
	socket := engine(t, map[string]string{
		"up":      `{"Id":"ab","State":{"Status":"running","Running":true,"Health":{"Status":"starting"}},"RestartCount":4}`,
		"ill":     `{"State":{"Status":"running","Running":true,"Health":{"Status":"unhealthy"}}}`,
		"paused":  `{"State":{"Status":"paused","Running":true}}`,
		"ended":   `{"State":{"Status":"exited","Running":false,"ExitCode":137,"OOMKilled":true}}`,
		"strange": `<html>`,
	})
	tests := []struct{ name, reason, evidence string }{
		{"up", "", ""},
		{"ill", "container_unhealthy", "its health check fails"},
		{"paused", "container_down", "paused"},
		{"ended", "container_down", "exited with exit status 137, killed for want of memory"},
		{"none", "no_container", "container none does not exist"},
		{"a/../b c", "no_container", "does not exist"},
		{"strange", "probe_unseen", "the container engine answered 200"},
	}
	for _, tt := range tests {
		c := &probe.Container{Name: tt.name, Sockets: []string{"/no/such.sock", socket}}
		r := c.Check(t.Context())
		if r.Reason != tt.reason || !strings.Contains(r.Evidence, tt.evidence) || r.Blind != (tt.reason == "probe_unseen") {
			t.Errorf("%s: %+v, want %s: %s", tt.name, r, tt.reason, tt.evidence)
		}
		if tt.name == "up" && r.Saw != "running, restarted 4 times" {
			t.Errorf("%+v", r)
		}
	}
}

// TestContainerWithoutItsEngine finds a process in it.
func TestContainerWithoutItsEngine(t *testing.T) {
	tree := proctest.New(t)
	id := strings.Repeat("0123abcd", 8)
	tree.Add(t, 50, proctest.P{Args: []string{"x"}, Cgroup: "0::/docker/" + id + "\n"})
	check := func(name string) probe.Result {
		return (&probe.Container{Name: name, Sockets: []string{"/no/such.sock"}, Root: string(tree)}).Check(t.Context())
	}
	if r := check(id[:12]); !r.Passed() || r.Saw != "process 50 is in it" {
		t.Errorf("%+v", r)
	}
	if r := check("ffff" + id[:12]); r.Reason != "container_down" {
		t.Errorf("%+v", r)
	}
	if r := check("by-name"); r.Reason != "no_container" {
		t.Errorf("%+v", r)
	}
}

func TestUnit(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the fake is a shell script")
	}
	dir := t.TempDir()
	script := `#!/bin/sh
for unit; do :; done
case "$unit" in
up) printf 'LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=2\n' ;;
failed) printf 'LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=oom-kill\nNRestarts=0\n' ;;
starting) printf 'LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\n' ;;
none) printf 'LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n' ;;
*) echo "System has not been booted with systemd as init system" >&2; exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	for name, want := range map[string]probe.Result{
		"up":       {Saw: "active (running), restarted 2 times"},
		"failed":   {Reason: "unit_down", Evidence: "unit failed: failed (failed), result oom-kill"},
		"starting": {Reason: "unit_down", Evidence: "unit starting: activating (auto-restart), result exit-code"},
		"none":     {Reason: "unit_down", Evidence: "unit none does not exist"},
		"-x":       {Reason: "probe_unseen", Evidence: "unit -x: exit status 1", Blind: true},
	} {
		if r := (&probe.Unit{Name: name}).Check(t.Context()); r != want {
			t.Errorf("%s: %+v, want %+v", name, r, want)
		}
	}
	p := genericOf(t, probe.Host{}, map[string]string{"SYSTEMD_UNIT": "-x"})
	is(t, p, "DEGRADED", "probe_unseen", "unit -x") // nobody knows: no reason to call it down
	p = genericOf(t, probe.Host{}, map[string]string{"SYSTEMD_UNIT": "-x", "PORT": strconv.Itoa(1)})
	is(t, p, "DOWN", "port_closed_1", "port 1")
	t.Setenv("PATH", t.TempDir())
	if r := (&probe.Unit{Name: "up"}).Check(t.Context()); !r.Blind || r.Evidence != "unit up: systemd is not installed" {
		t.Errorf("%+v", r)
	}
}
