package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// figures are the series of a scrape: for each name, the values of each label.
type figures map[string]map[string][]string

var (
	seriesLine = regexp.MustCompile(`(?m)^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"`)
	selector   = regexp.MustCompile(`\b((?:gensyn|process|go)_\w+)(?:\{([^}]*)\})?`)
)

// scrape adds what a /metrics shows.
func (f figures) scrape(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	for _, line := range seriesLine.FindAllStringSubmatch(string(body), -1) {
		if f[line[1]] == nil {
			f[line[1]] = make(map[string][]string)
		}
		for _, l := range labelPair.FindAllStringSubmatch(line[2], -1) {
			f[line[1]][l[1]] = append(f[line[1]][l[1]], l[3])
		}
	}
}

// added are the labels that Prometheus puts on what it scrapes.
var added = []string{"instance", "job", "le"}

// open are the labels whose values depend on what happened.
var open = []string{"status", "chat", "route", "version", "instance"}

// missing says what an expression asks for and no program shows.
func (f figures) missing(expression string) (out []string) {
	for _, s := range selector.FindAllStringSubmatch(expression, -1) {
		labels, known := f[s[1]]
		if !known {
			out = append(out, s[1])
			continue
		}
		for _, m := range labelPair.FindAllStringSubmatch(s[2], -1) {
			name, op, value := m[1], m[2], m[3]
			if slices.Contains(added, name) {
				continue
			}
			values, labelled := labels[name]
			if !labelled || op == "=" && !slices.Contains(open, name) && !slices.Contains(values, value) {
				out = append(out, s[1]+"{"+m[0]+"}")
			}
		}
	}
	return out
}

// TestDashboardAndRulesAskForWhatThereIs: every figure that the dashboard and the alert rules name is one that the real
// programs show, as four programs and in one process.
func TestDashboardAndRulesAskForWhatThereIs(t *testing.T) {
	expressions := append(panels(t), rules(t)...)
	c, s := fourPrograms(t)
	s.report(t, "seen", "DOWN", "reason=no_p2pd")
	s.told(t, 20*time.Second, "seen", "p2pd")
	s.awaitRow(t, "seen", func(r row) bool { return r.Computed == "DOWN" })

	apart := figures{}
	for _, p := range c.Services() {
		apart.scrape(t, strings.Replace(p.Ready, "/healthz", "/metrics", 1))
	}
	compare(t, "as four programs", apart, expressions)
	if n := len(apart); n < 50 {
		t.Errorf("only %d figures were read", n)
	}

	telegram := s.telegram
	o := &oneProcess{dir: t.TempDir(), telegram: telegram.URL(), addr: "127.0.0.1:0"}
	o.start(t)
	t.Cleanup(func() { o.stop(t) })
	s = &system{ingest: "http://" + o.addr, web: "http://" + o.addr, telegram: telegram}
	s.report(t, "seen too", "UP", "")
	s.awaitRow(t, "seen too", func(r row) bool { return r.Computed == "UP" })
	together := figures{}
	together.scrape(t, "http://"+o.addr+"/metrics")
	compare(t, "in one process", together, expressions)
}

func compare(t *testing.T, mode string, f figures, expressions []string) {
	t.Helper()
	for _, e := range expressions {
		for _, m := range f.missing(e) {
			t.Errorf("%s nobody shows %s, which is asked for in %s", mode, m, e)
		}
	}
}

// panels are the expressions of the dashboard.
func panels(t *testing.T) (out []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	data, err := os.ReadFile(filepath.Join("..", "deploy", "grafana", "dashboard.json"))
	if err == nil {
		err = json.Unmarshal(data, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q has an id twice, no title or no expression", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
	}
	if len(out) < 20 {
		t.Errorf("only %d expressions in the dashboard", len(out))
	}
	return out
}

// rules are the lines of the alert rules.
func rules(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(data), "\n")
}

// TestMissingFiguresAreFound: the check itself can fail.
func TestMissingFiguresAreFound(t *testing.T) {
	f := figures{"gensyn_a": {"kind": {"x"}, "status": {"200"}}}
	for expression, want := range map[string]string{
		`sum(rate(gensyn_a{kind="x"}[5m]))`: "", `gensyn_a{status="503"}`: "", `gensyn_a{instance="i"}`: "",
		`gensyn_b > 1`: "gensyn_b", `gensyn_a{kind="y"}`: `gensyn_a{kind="y"}`, `gensyn_a{part=~"y"}`: `gensyn_a{part=~"y"}`,
	} {
		if got := strings.Join(f.missing(expression), " "); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}

// TestKubernetesHasTheRightsOfCompose: kustomize reads nothing outside of its folder, so these files are there twice.
func TestKubernetesHasTheRightsOfCompose(t *testing.T) {
	for copied, original := range map[string]string{
		"k8s/nats/users.conf": "compose/nats/users.conf", "k8s/overlays/minimal/postgres/roles.sh": "compose/postgres/roles.sh",
	} {
		var texts [2]string
		for i, name := range []string{copied, original} {
			data, err := os.ReadFile(filepath.Join("..", "deploy", filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(data)
		}
		if texts[0] != texts[1] {
			t.Errorf("deploy/%s is not deploy/%s: copy it", copied, original)
		}
	}
}
