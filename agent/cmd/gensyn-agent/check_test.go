package main

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent"
	"github.com/gensyn-monitor/gensyn-monitor/agent/install"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// ingest answers as a monitor does to a heartbeat without a node_id.
func ingest(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Header.Get("Authorization") != "Bearer hunter2":
		refuse(w, r)
	case !strings.Contains(string(body), `"node_id":""`):
		accept(w, r)
	default:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"detail":"node_id required"}`)
	}
}

// wrongClock is a server whose clock is some time ahead.
func wrongClock(ahead time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		ingest(w, r)
	}
}

func TestCheckOfTheServer(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(ingest))
	t.Cleanup(tls.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	if err := os.WriteFile(ca, data, 0o600); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	good := serve(ingest)
	tests := []struct {
		name, server string
		more         []string
		want         []string // lines, where SERVER is the address
	}{
		{"a monitor", good, nil, []string{"ok      server SERVER: it is a monitor and takes the token", "ok      clock: as that of "}},
		{"another secret", good, []string{"SHARED_SECRET=wrong"}, []string{
			"failed  server SERVER: the server answered 401 (Unauthorized)", "→ SHARED_SECRET is not the one of the server"}},
		{"a redirect", serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://b.example/api/heartbeat", http.StatusMovedPermanently)
		}), nil, []string{"failed  server SERVER: the server answered with a redirect to https://b.example", "→ set SERVER_URL to that address"}},
		{"another program", serve(func(http.ResponseWriter, *http.Request) {}), nil, []string{"failed  server SERVER: ", "is no monitor", "→ check SERVER_URL"}},
		{"one that takes all", serve(accept), nil, []string{"failed  server SERVER: ", "takes what is no heartbeat", "→ check SERVER_URL"}},
		{"nobody", "http://" + closed.Addr().String(), nil, []string{"failed  server SERVER: no connection to " + closed.Addr().String() + ": dial: ",
			"→ see whether the monitor runs, "}},
		{"an authority that is not known", tls.URL, nil, []string{
			"failed  server SERVER: the certificate of ", "→ set CA_FILE to the certificate of its authority"}},
		{"an authority that is", tls.URL, []string{"CA_FILE=" + ca}, []string{"ok      server SERVER: it is a monitor"}},
		{"a name that the certificate lacks", strings.Replace(tls.URL, "127.0.0.1", "localhost", 1), []string{"CA_FILE=" + ca}, []string{
			"failed  server SERVER: the certificate of ", "→ set SERVER_URL to a name that the certificate has"}},
		{"http at https", strings.Replace(tls.URL, "https", "http", 1), nil, []string{"failed  server SERVER: ", "→ SERVER_URL must begin with https://"}},
		{"https at http", strings.Replace(good, "http", "https", 1), nil, []string{"failed  server SERVER: ", "→ SERVER_URL must begin with http://"}},
		{"a clock behind", serve(wrongClock(time.Hour)), nil, []string{"ok      server SERVER:", "failed  clock: ", "behind that of", "→ set this machine's clock"}},
		{"a clock ahead", serve(wrongClock(-time.Hour)), nil, []string{"failed  clock: ", "ahead of that of"}},
		{"two", good + "," + good + "/x", nil, []string{"ok      server " + good + ":", "ok      server " + good + "/x:"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := call(t.Context(), nil, "check", "--config", settings(t, tt.server, tt.more...))
			if code != 1 || stderr != "" { // the node is down
				t.Errorf("%d, %q", code, stderr)
			}
			for _, want := range tt.want {
				if want = strings.ReplaceAll(want, "SERVER:", tt.server+":"); !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
			if strings.Contains(stdout, "hunter2") {
				t.Errorf("the secret shows:\n%s", stdout)
			}
		})
	}
}

func TestCheckOfTheRest(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(ingest))
	t.Cleanup(s.Close)
	stop := filepath.Join(t.TempDir(), "stop")
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := settings(t, s.URL, "SCREEN_NAM=x", "ON_DOWN_CMD=true", "ON_DOWN_STOP_FILE="+stop)
	// A file that an agent would put aside; a check must not.
	state := filepath.Join(filepath.Dir(file), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "agent.json"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := call(t.Context(), nil, "check", "--config", file)
	for _, want := range []string{
		"ok      settings: " + file + " and the environment",
		"failed  settings: SCREEN_NAM is not known: did you mean SCREEN_NAME?\n        → change or remove it in " + file,
		"ok      address of this machine: 192.0.2.7",
		"ok      state: " + filepath.Join(filepath.Dir(file), "state"),
		"unseen  ON_DOWN_CMD: it does not run: " + stop + " is there",
		"failed  screen session .no-such-session: ",
		"failed  node from-file: DOWN, no_screen",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if code != 1 {
		t.Errorf("exit status %d", code)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) != 1 || left[0].Name() != "agent.json" {
		t.Errorf("left behind %v, %v", left, err)
	}
}

// caged is a machine on which the agent is installed without ON_DOWN_CMD.
type caged struct{ install.System }

func (caged) ReadFile(string) ([]byte, error) {
	return []byte("[Service]\nProtectSystem=strict\n"), nil
}

func TestCheckSaysThatACommandIsInACage(t *testing.T) {
	c := agent.Config{}
	if got := serviceFindings(c, caged{}); got != nil {
		t.Errorf("%+v without a command", got)
	}
	c.OnDown.Command = "x"
	if got := serviceFindings(c, caged{}); len(got) != 1 || got[0].Verdict != probe.VerdictFailed || !strings.Contains(got[0].Mend, "install again") {
		t.Errorf("%+v", got)
	}
}
