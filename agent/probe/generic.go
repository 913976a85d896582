package probe

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// generic checks what is set, and nothing else.
type generic struct{ probes []looked }

func (r *reader) generic(host Host) Profile {
	g := new(generic)
	add := func(name, mend string, p Probe) { g.probes = append(g.probes, looked{p, name, mend}) }
	for _, v := range list(r.given("PROCESS_PATTERNS"), ";;") {
		add("process like "+v, "start the node", &Process{Pattern: r.pattern("PROCESS_PATTERNS", v), Root: host.Proc, Self: host.Self})
	}
	if r.given("SCREEN_NAME") != "" {
		g.probes = append(g.probes, screenNamed(r.session("SCREEN_NAME"), host))
	}
	if name := r.given("TMUX_SESSION"); name != "" {
		add("tmux session "+name, "start the node in it: tmux new -s "+name, &Tmux{Name: r.session("TMUX_SESSION"), Sockets: "/tmp/tmux-*/*", Root: host.Proc})
	}
	for _, name := range list(r.given("DOCKER_CONTAINER"), ",") {
		add("container "+name, "docker start "+name, &Container{Name: name, Sockets: dockerSockets, Root: host.Proc})
	}
	for _, name := range list(r.given("SYSTEMD_UNIT"), ",") {
		add("unit "+name, "systemctl start "+name, &Unit{Name: name})
	}
	if r.given("PORT") != "" && r.text("CHECK_PORT") == "true" {
		for _, n := range r.ports("PORT") {
			g.probes = append(g.probes, portNumbered(n))
		}
	}
	r.web(add)
	r.logs(add, host)
	if line := r.given("COMMAND"); line != "" {
		add("command", "run it by hand", &Command{Line: line, Timeout: time.Duration(r.seconds("COMMAND_SEC", 60)) * time.Second})
	}
	if r.err == nil && len(g.probes) == 0 {
		r.fail(errors.New("PROFILE=generic looks at what is set: set at least one of PROCESS_PATTERNS, SCREEN_NAME, TMUX_SESSION, " +
			"DOCKER_CONTAINER, SYSTEMD_UNIT, PORT, HTTP_URL, LOG_FRESH, LOG_PATTERNS, COMMAND"))
	}
	return g
}

func (r *reader) web(add func(name, mend string, p Probe)) {
	address := r.given("HTTP_URL")
	if address == "" {
		return
	}
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		r.refuse("HTTP_URL", "an address such as http://127.0.0.1:3000")
	}
	add("address "+mask.Text(address), "see why it does not answer", &HTTP{URL: address, Statuses: r.statuses("HTTP_STATUS"), Text: r.given("HTTP_TEXT")})
}

// statuses reads 200,300-399.
func (r *reader) statuses(name string) [][2]int {
	var all [][2]int
	for _, v := range list(r.text(name), ",") {
		first, last, ok := strings.Cut(v, "-")
		if !ok {
			last = first
		}
		a, err := strconv.Atoi(first)
		b, bad := strconv.Atoi(last)
		if err != nil || bad != nil || a < 100 || b > 599 || a > b {
			r.refuse(name, "statuses such as 200,300-399")
		}
		all = append(all, [2]int{a, b})
	}
	return all
}

func (r *reader) logs(add func(name, mend string, p Probe), host Host) {
	for _, v := range list(r.given("LOG_FRESH"), ",") {
		i := strings.LastIndexByte(v, ':')
		age, err := strconv.Atoi(v[i+1:])
		if i < 1 || err != nil || age < 1 || !filepath.IsAbs(v[:i]) {
			r.refuse("LOG_FRESH", "whole paths with an age in seconds, such as /var/log/node.log:600, with commas between")
			return
		}
		add("log "+v[:i], "see why nothing is written", &Fresh{Path: v[:i], Age: time.Duration(age) * time.Second, Now: host.Now})
	}
	var patterns []LogPattern
	for _, v := range list(r.given("LOG_PATTERNS"), ";;") {
		file, rest, _ := strings.Cut(v, "|")
		i := strings.LastIndexByte(rest, '|')
		if i < 1 || !filepath.IsAbs(file) || !isReason(rest[i+1:]) {
			r.refuse("LOG_PATTERNS", "FILE|PATTERN|REASON with ;; between: a whole path, a regular expression, and a code of small letters, digits and _")
			return
		}
		patterns = append(patterns, LogPattern{Path: file, Match: r.pattern("LOG_PATTERNS", rest[:i]), Reason: rest[i+1:]})
	}
	if len(patterns) > 0 {
		p := &LogPatterns{Patterns: patterns, Hold: time.Duration(r.seconds("LOG_HOLD_SEC", 86400)) * time.Second, Now: host.Now}
		if host.StateDir != "" {
			p.StateFile = filepath.Join(host.StateDir, "logs.json")
		}
		add("log patterns", "look at the log", p)
	}
}

// isReason reports whether s is a code.
func isReason(s string) bool {
	return s != "" && len(s) <= contract.MaxReasonBytes && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Probe implements Profile.
func (g *generic) Probe(ctx context.Context) ([]Report, []Finding) {
	results, findings := look(ctx, g.probes)
	report := Report{Status: StatusUp, Workload: contract.Workload{Kind: ProfileGeneric}}
	v := Verdict(results)
	switch {
	case v.Blind:
		report.Status, report.Reason, report.Evidence = StatusDegraded, v.Reason, v.Evidence
	case !v.Passed():
		report.Status, report.Reason, report.Evidence = StatusDown, v.Reason, v.Evidence
	}
	report.Evidence = mask.Text(report.Evidence)
	for i := range findings {
		findings[i].Saw = mask.Text(findings[i].Saw)
	}
	return []Report{report}, findings
}

// Forget implements Profile.
func (g *generic) Forget(name string) error { return oneNode(name) }
