package probe_test

import (
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// TestLegacyIsTheFirstAgents: all three must be there; a port alone, or everything but the screen, is not enough.
func TestLegacyIsTheFirstAgents(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	root := newProc(t)
	open := func(settings map[string]string) probe.Profile {
		settings["PROFILE"], settings["SCREEN_NAME"] = "legacy", "no-such-session-here"
		p, err := probe.Open(settings, probe.Host{Proc: string(root), Self: self})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	report := func(settings map[string]string) probe.Report {
		reports, _ := open(settings).Probe(t.Context())
		if len(reports) != 1 || reports[0].Name != "" {
			t.Fatalf("reports %+v", reports)
		}
		return reports[0]
	}
	if r := report(map[string]string{"PORT": port}); r.Status != "DOWN" || r.Reason != "no_screen_no_proc" {
		t.Errorf("nothing there: %+v", r)
	}
	root.add(t, 600, 1, "bash", "bash", "run_rl_swarm.sh")
	if r := report(map[string]string{"PORT": port}); r.Status != "DOWN" || r.Reason != "no_screen" {
		t.Errorf("process there: %+v", r)
	}
	l.Close()
	if r := report(map[string]string{"PORT": port}); !strings.Contains(r.Evidence, "refused") {
		t.Errorf("port closed: %+v", r)
	}
	if r := report(map[string]string{"PORT": port, "CHECK_PORT": "yes"}); strings.Contains(r.Evidence, "port") {
		t.Errorf("the port is not asked for: %+v", r)
	}

	_, findings := open(map[string]string{"PORT": port}).Probe(t.Context())
	var verdicts []string
	for _, f := range findings {
		verdicts = append(verdicts, f.Verdict)
		if f.Saw == "" || (f.Mend == "") != (f.Verdict == probe.VerdictOK) {
			t.Errorf("finding %+v", f)
		}
	}
	if want := []string{"failed", "ok", "failed"}; !reflect.DeepEqual(verdicts, want) {
		t.Errorf("verdicts %v, want %v", verdicts, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, value := range map[string]string{
		"PROFILE": "swarm", "SCREEN_NAME": "a b", "PORT": "65536",
	} {
		settings := map[string]string{"PROFILE": "legacy"}
		settings[name] = value
		_, err := probe.Open(settings, probe.Host{})
		if err == nil || !strings.HasPrefix(err.Error(), name+`="`+value+`" is not allowed: it must be `) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}
