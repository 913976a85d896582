package probe_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer/peertest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc/proctest"
)

func swarmOf(t *testing.T, host probe.Host, settings map[string]string) probe.Profile {
	t.Helper()
	settings["PROFILE"] = "rl-swarm"
	p, err := probe.Open(settings, host)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSwarm(t *testing.T) {
	tree := proctest.New(t)
	host := probe.Host{Proc: string(tree), StateDir: t.TempDir()}
	p := swarmOf(t, host, map[string]string{})
	reports, findings := p.Probe(t.Context())
	if len(reports) != 1 || reports[0].Status != "DOWN" || reports[0].Reason != "no_process" || reports[0].Name != "" || reports[0].Workload.Kind != "rl-swarm" {
		t.Errorf("%+v", reports)
	}
	if last := findings[len(findings)-1]; last.Verdict != "failed" || last.Mend != "start the node" {
		t.Errorf("%+v", findings)
	}
	dir := filepath.Join(t.TempDir(), "swarm-a")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	tree.Add(t, 10, proctest.P{Args: []string{"bash", "run_rl_swarm.sh"}, Dir: dir, Env: []string{"STY=1.gensyn"}})
	reports, findings = p.Probe(t.Context())
	want := probe.Report{Name: "swarm-a", Status: "UP", Reason: "starting", Evidence: reports[0].Evidence, Workload: reports[0].Workload, Log: reports[0].Log}
	if len(reports) != 1 || !reflect.DeepEqual(reports[0], want) || reports[0].Workload.Supervisor != "screen:gensyn" {
		t.Errorf("%+v", reports)
	}
	verdicts := make(map[string]string)
	for _, f := range findings {
		verdicts[f.Probe] = f.Verdict
		if (f.Mend == "") != (f.Verdict == "ok") {
			t.Errorf("finding %+v", f)
		}
	}
	if w := map[string]string{"swarm-a: processes": "ok", "swarm-a: logs": "failed", "swarm-a: phase": "ok"}; !reflect.DeepEqual(verdicts, w) {
		t.Errorf("%v, want %v", verdicts, w)
	}
	// Another process knows the node, too, and can forget it when it is gone.
	tree.Remove(t, 10)
	p = swarmOf(t, host, map[string]string{})
	if reports, _ = p.Probe(t.Context()); reports[0].Name != "swarm-a" || reports[0].Status != "DOWN" {
		t.Errorf("%+v", reports)
	}
	if err := p.Forget("swarm-a"); err != nil {
		t.Error(err)
	}
	if reports, _ = p.Probe(t.Context()); reports[0].Name != "" {
		t.Errorf("%+v", reports)
	}
}

// TestSwarmNames: whoever asks is told where the name of a peer comes from.
func TestSwarmNames(t *testing.T) {
	tree := proctest.New(t)
	p := swarmOf(t, probe.Host{Proc: string(tree)}, map[string]string{})
	dir := filepath.Join(t.TempDir(), "swarm-a")
	tree.Add(t, 10, proctest.P{Args: []string{"bash", "run_rl_swarm.sh"}, Dir: dir})
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names := func(want probe.Finding, named bool) {
		t.Helper()
		reports, findings := p.Probe(t.Context())
		if !slices.Contains(findings, want) {
			t.Errorf("%+v\nlack %+v", findings, want)
		}
		w := reports[0].Workload
		if name := peertest.Name(w.PeerID); w.PeerID == "" || named != (w.PeerName == name) || !named && w.PeerName != "" {
			t.Errorf("%q is %q", w.PeerID, w.PeerName)
		}
	}
	const place, instead = "hivemind_exp/name_utils.py", "; the name of the peer comes from its log"
	write("swarm.pem", peertest.Key(t))
	names(probe.Finding{Probe: "swarm-a: names", Saw: "no name_utils.py in " + dir + instead, Verdict: "ok"}, false)
	write(place, []byte("ADJECTIVES = 1"))
	names(probe.Finding{
		Probe: "swarm-a: names", Saw: filepath.Join(dir, place) + ": ADJECTIVES: it is no list of words" + instead, Verdict: "failed",
		Mend: "put back the file as the node's checkout had it",
	}, false)
	write(place, []byte(peertest.Source(peertest.Lists())))
	names(probe.Finding{Probe: "swarm-a: names", Saw: "words of " + filepath.Join(dir, place), Verdict: "ok"}, true)
}

// TestProfileFile: another workload by data alone.
func TestProfileFile(t *testing.T) {
	tree := proctest.New(t)
	file := filepath.Join(t.TempDir(), "profile.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeff" + `{"name": "block-assist", "processes": [{"role": "launcher", "program": "node", "has": "blockassist"}],
		"logs": ["out.log"], "lines": [{"class": "round", "match": "episode (\\d+)"}],
		"phases": {"no_p2pd": {"status": "UP", "reason": "no_peer_needed"}}}`)
	tree.Add(t, 10, proctest.P{Args: []string{"node", "blockassist.js"}, Dir: "/srv/assist"})
	tree.Add(t, 11, proctest.P{Args: []string{"bash", "run_rl_swarm.sh"}, Dir: "/srv/swarm"})
	p := swarmOf(t, probe.Host{Proc: string(tree)}, map[string]string{"PROFILE_FILE": file})
	reports, _ := p.Probe(t.Context())
	if len(reports) != 1 || reports[0].Name != "assist" || reports[0].Workload.Kind != "block-assist" {
		t.Errorf("%+v", reports)
	}
	for text, want := range map[string]string{
		"{": "unexpected EOF", `{"title": "x"}`: "title", "{} {}": "something follows",
		`{"lines": [{"class": "round", "match": "x"}]}`:                     "needs 1 groups",
		`{"lines": [{"class": "fatal", "match": "x"}]}`:                     "needs a reason",
		`{"lines": [{"class": "trouble", "match": "x", "reason": "r"}]}`:    "needs times",
		`{"lines": [{"class": "nothing", "match": "x"}]}`:                   "class",
		`{"lines": [{"class": "login", "match": "("}]}`:                     "match",
		`{"processes": [{"role": "x", "program": "a", "has": "b"}]}`:        "role",
		`{"processes": [{"role": "peer", "program": "a"}]}`:                 "needs program",
		`{"phases": {"dancing": {"status": "UP", "reason": "x"}}}`:          "dancing",
		`{"phases": {"down": {"status": "up", "reason": "x"}}}`:             "status",
		`{"names": ["a/*/b.py"]}`:                                           "names[0]",
		`{"names": ["*/../../b.py"]}`:                                       "names[0]",
		`{"limits": {"start_sec": 1}}`:                                      "more than 0",
		`{"login": {"user": "a", "key": "b", "done": "(", "pending": "x"}}`: "login.done",
	} {
		write(text)
		_, err := probe.Open(map[string]string{"PROFILE": "rl-swarm", "PROFILE_FILE": file}, probe.Host{Proc: string(tree)})
		if err == nil || !strings.HasPrefix(err.Error(), "PROFILE_FILE=") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for name, value := range map[string]string{"STALL_SEC": "0", "START_GRACE_SEC": "x", "LOG_FILES": "a.log", "PROFILE_FILE": "/no/such/file"} {
		_, err := probe.Open(map[string]string{"PROFILE": "rl-swarm", name: value}, probe.Host{Proc: string(tree)})
		if err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestVariablesAreNamedOnce(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range probe.Variables {
		if seen[v.Name] || v.Meaning == "" {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
	}
}
