package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/audit"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// ours are the services whose images the Dockerfile makes.
var ours = []string{"ingest-a", "ingest-b", "evaluator", "notifier", "web"}

// The whole deployment on one machine. The parts follow one another, as in the life of one.
func TestCompose(t *testing.T) {
	d := deploy(t, "gensyn-monitor-e2e")
	begun := time.Now()
	d.up()
	t.Logf("up and healthy after %v", time.Since(begun).Round(time.Second))

	t.Run("what is secret is in files of its services alone", d.secrets)
	t.Run("every container is locked up", d.locked)
	t.Run("who is in which network", d.networks)
	t.Run("roles of the database", d.roles)
	w := newWorld(t, d)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a heartbeat through the proxy is told in Telegram", w.told},
		{"the page wants its password and heartbeats do not", w.page},
		{"an update refuses no heartbeat", w.update},
		{"every process is killed", w.killed},
		{"nothing was lost", w.audited},
		{"backup and restore", w.restored},
	} {
		if !t.Run(part.name, part.run) {
			return // what follows would fail for the same reason
		}
	}
}

// with runs a part with the helpers failing that part.
func (d *deployment) with(t *testing.T) *deployment {
	part := *d
	part.t = t
	return &part
}

func (d *deployment) secrets(t *testing.T) {
	d = d.with(t)
	secrets := map[string]string{"bot token": telegramtest.Token, "page's password": "pass#word"}
	for _, name := range []string{"shared-secret", "db-superuser", "db-evaluator", "db-notifier", "db-web",
		"nats-ingest", "nats-evaluator", "nats-notifier", "nats-web", "nats-cluster"} {
		secrets[name] = d.made("made/" + name)
		if len(secrets[name]) < 40 {
			t.Errorf("%s has %d characters", name, len(secrets[name]))
		}
	}
	if shown := strings.TrimSpace(d.compose("run", "--rm", "-T", "--no-deps", "init", "show")); shown != secrets["shared-secret"] {
		t.Error("init shows another secret than was made")
	}
	for _, c := range d.containers() {
		said := run(t, "docker", "inspect", c.ID) + logged(t, c.ID)
		for name, value := range secrets {
			if strings.Contains(said, value) {
				t.Errorf("docker inspect or the log of %s shows the %s", c.Name, name)
			}
		}
		var mounted []string
		for _, m := range c.Mounts {
			if name, found := strings.CutPrefix(m.Name, d.project+"_secrets-"); found {
				mounted = append(mounted, name)
			}
		}
		owner, _, _ := strings.Cut(c.service(), "-")
		if c.service() != "init" && c.service() != "caddy" && !slices.Equal(mounted, []string{owner}) {
			t.Errorf("%s has the secrets of %v", c.Name, mounted)
		}
	}
	// Once made they stay.
	d.compose("run", "--rm", "-T", "--no-deps", "init")
	d.read = nil
	if again := d.made("made/db-web"); again != secrets["db-web"] {
		t.Error("a second start made other passwords")
	}
}

func (d *deployment) locked(t *testing.T) {
	d = d.with(t)
	var open []string // ports
	for _, c := range d.containers() {
		h := c.HostConfig
		for port := range h.PortBindings {
			open = append(open, c.service()+" "+port)
		}
		if !h.ReadonlyRootfs || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Contains(h.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read-only %v, capabilities dropped %v, %v", c.Name, h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt)
		}
		if h.LogConfig.Config["max-size"] == "" {
			t.Errorf("%s: its log grows for ever", c.Name)
		}
		if c.service() == "init" {
			continue
		}
		if h.Memory == 0 || h.PidsLimit == nil || *h.PidsLimit <= 0 || h.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s: memory %d, pids %v, restart %q", c.Name, h.Memory, h.PidsLimit, h.RestartPolicy.Name)
		}
		if user := c.Config.User; c.service() != "caddy" && (user == "" || user == "root" || user == "0") {
			t.Errorf("%s runs as %q", c.Name, user)
		}
		if slices.Contains(ours, c.service()) {
			if _, err := try(os.Environ(), "docker", "exec", c.ID, "/bin/sh", "-c", "true"); err == nil {
				t.Errorf("%s has a shell", c.Name)
			}
		}
	}
	if !slices.Equal(open, []string{"caddy 443/tcp"}) {
		t.Errorf("public ports: %v", open)
	}
}

func (d *deployment) networks(t *testing.T) {
	d = d.with(t)
	want := map[string]string{
		"caddy": "edge front", "ingest-a": "bus front", "ingest-b": "bus front", "web": "bus data front out",
		"nats": "bus", "postgres": "data", "evaluator": "bus data", "notifier": "bus data out",
	}
	for _, c := range d.containers() {
		var in []string
		for name := range c.NetworkSettings.Networks {
			in = append(in, strings.TrimPrefix(name, d.project+"_"))
		}
		slices.Sort(in)
		if got := strings.Join(in, " "); c.service() != "init" && got != want[c.service()] {
			t.Errorf("%s is in %q, want %q", c.Name, got, want[c.service()])
		}
	}
	for name, closed := range map[string]bool{"edge": false, "out": false, "front": true, "bus": true, "data": true} {
		if got := strings.TrimSpace(run(t, "docker", "network", "inspect", "-f", "{{.Internal}}", d.project+"_"+name)); got != fmt.Sprint(closed) {
			t.Errorf("network %s: internal %s", name, got)
		}
	}
}

// roles tries what a stolen password could do.
func (d *deployment) roles(t *testing.T) {
	d = d.with(t)
	for _, c := range []struct {
		service, statement string
		allowed            bool
	}{
		{"evaluator", "UPDATE nodes SET name = name", true},
		{"notifier", "SELECT id FROM nodes", true},
		{"notifier", "UPDATE deliveries SET mark = mark", true},
		{"notifier", "UPDATE nodes SET name = name", false},
		{"notifier", "DELETE FROM events", false},
		{"notifier", "UPDATE partitions SET term = term", false},
		{"web", "SELECT id FROM events", true},
		{"web", "UPDATE nodes SET name = name", false},
		{"web", "DELETE FROM deliveries", false},
		{"web", "CREATE TABLE mine (a int)", false},
		{"web", "CREATE TEMPORARY TABLE mine (a int)", false},
	} {
		conn, err := pgx.Connect(t.Context(), d.database(c.service))
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), c.statement)
		conn.Close(t.Context())
		var said *pgconn.PgError
		if denied := errors.As(err, &said) && said.Code == "42501"; denied == c.allowed || err != nil && c.allowed {
			t.Errorf("%s: %s: %v, want allowed %v", c.service, c.statement, err, c.allowed)
		}
	}
}

// world is the deployment with nodes that report to it.
type world struct {
	*deployment
	fleet     *fleet.Fleet
	transport *http.Transport
	stop      func() // ends the reporting
}

const nodes = 40

func newWorld(t *testing.T, d *deployment) *world {
	t.Helper()
	w := &world{deployment: d, transport: d.transport()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	w.stop = func() { cancel(); <-ended }
	w.fleet = fleet.New(fleet.Options{
		URLs: []string{"https://" + domain}, Secret: d.made("made/shared-secret"), Prefix: "node", Nodes: nodes,
		Interval: time.Second, Limit: 10 * time.Second, Seed: 1, Transport: w.transport,
	})
	go func() { defer close(ended); w.fleet.Run(ctx) }()
	t.Cleanup(w.stop)
	return w
}

func (w *world) with(t *testing.T) *world {
	part := *w
	part.deployment = w.deployment.with(t)
	return &part
}

// get asks the page's side, with its password.
func (w *world) get(path string) (int, string) {
	w.t.Helper()
	return w.ask(path, "viewer", "pass#word")
}

func (w *world) ask(path, user, password string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+domain+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	client := http.Client{Transport: w.transport, Timeout: 15 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// states are the nodes' states by id, nil when they cannot be had.
func (w *world) states() map[string]string {
	w.t.Helper()
	status, body := w.get("/api/nodes")
	var list []struct {
		ID    string `json:"node_id"`
		State string `json:"state"`
	}
	if status != http.StatusOK || json.Unmarshal([]byte(body), &list) != nil {
		return nil
	}
	out := make(map[string]string, len(list))
	for _, n := range list {
		out[n.ID] = n.State
	}
	return out
}

func (w *world) allUp() bool {
	states := w.states()
	for _, s := range states {
		if s != "up" {
			return false
		}
	}
	return len(states) >= nodes
}

func (w *world) tells(limit time.Duration, texts ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	if messages, err := w.telegram.WaitFor(ctx, telegramtest.Containing(texts...)); err != nil {
		w.t.Fatalf("no message with %q within %v among %d", texts, limit, len(messages))
	}
}

func (w *world) told(t *testing.T) {
	w = w.with(t)
	eventually(t, 30*time.Second, "all nodes are up", w.allUp)
	w.fleet.Set(0, fleet.Reports)
	w.tells(30*time.Second, "node-000", "process")
	w.fleet.Set(0, fleet.Works)
	eventually(t, 30*time.Second, "the node is up again", w.allUp)
	if answers := w.fleet.Answers(); answers[http.StatusOK] == 0 || len(answers) != 1 {
		t.Errorf("answers by status: %v", answers)
	}
}

func (w *world) page(t *testing.T) {
	w = w.with(t)
	if status, _ := w.ask("/", "", ""); status != http.StatusUnauthorized {
		t.Errorf("without the password: %d", status)
	}
	if status, _ := w.get("/"); status != http.StatusOK {
		t.Errorf("with it: %d", status)
	}
	status, body := w.ask("/.well-known/security.txt", "", "")
	_, after, _ := strings.Cut(body, "Expires: ")
	expires, _, _ := strings.Cut(after, "\n")
	until, err := time.Parse(time.RFC3339, expires)
	if left := time.Until(until); status != http.StatusOK || err != nil || left < 0 || left > 366*24*time.Hour ||
		!strings.HasPrefix(body, "Contact: mailto:security@example.org\n") {
		t.Errorf("security.txt: %d %q, %v", status, body, err)
	}
	if status, body := w.get("/readyz"); status != http.StatusOK || strings.Contains(body, "172.") {
		t.Errorf("/readyz: %d %q", status, body)
	}
}

// update starts the deployment with other settings, as with other images: everything of ours is replaced.
func (w *world) update(t *testing.T) {
	w = w.with(t)
	before, old := w.fleet.Answers(), make(map[string]bool)
	for _, c := range w.containers() {
		old[c.ID] = true
	}
	w.write("LOG_LEVEL=debug")
	begun := time.Now()
	w.command(filepath.Join(folder, "update"), "--no-build")
	took := time.Since(begun)
	for _, service := range ours {
		for _, c := range w.of(service) {
			if old[c.ID] {
				t.Errorf("%s was not replaced", c.Name)
			}
		}
	}
	eventually(t, 30*time.Second, "all nodes are up", w.allUp)
	after := w.fleet.Answers()
	accepted := after[http.StatusOK] - before[http.StatusOK]
	delete(after, http.StatusOK)
	delete(before, http.StatusOK)
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("answers other than 200: %v before, %v after", before, after)
	}
	if accepted < nodes*int(took.Seconds())/2 {
		t.Errorf("%d heartbeats in %v are no proof", accepted, took)
	}
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "`update` replaces both ingests, both evaluators, notifier and web", Rounds: 1,
		Must: "every heartbeat is answered 200 at the first try",
		Seen: fmt.Sprintf("%d heartbeats during %.0f s, all answered 200", accepted, took.Seconds()),
	})
}

// killed crashes every process there is, one after the other.
func (w *world) killed(t *testing.T) {
	w = w.with(t)
	var slowest time.Duration
	var last string
	rounds := 0
	for _, c := range w.containers() {
		if c.service() == "init" || testing.Short() && !slices.Contains([]string{"nats", "postgres", "ingest-a"}, c.service()) {
			continue
		}
		w.kill(c)
		took := w.revived(c)
		rounds++
		t.Logf("%s: healthy again after %.1f s", c.service(), took.Seconds())
		if took > slowest {
			slowest, last = took, c.service()
		}
	}
	eventually(t, time.Minute, "all nodes are up", w.allUp)
	if testing.Short() {
		return // no row of the table either: these are not all
	}
	// It still notices a node that falls silent.
	w.fleet.Set(1, fleet.Silent)
	w.tells(2*threshold+30*time.Second, "node-001")
	w.fleet.Set(1, fleet.Works)
	eventually(t, 30*time.Second, "the node is up again", w.allUp)
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "each process of the compose deployment crashes (SIGKILL): proxy, ingests, NATS, evaluators, Postgres, notifier, web", Rounds: rounds,
		Must: "started again by the engine and healthy within a minute",
		Seen: fmt.Sprintf("healthy again after %.0f s at most (%s)", slowest.Seconds(), last),
	})
}

// audited compares all that happened until now with the truth.
func (w *world) audited(t *testing.T) {
	w = w.with(t)
	w.compose("stop", "ingest-a", "ingest-b")
	truth := w.fleet.Truth()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in := audit.Input{
		NATSURL: w.nats("evaluator"), DatabaseURL: w.database("evaluator"), Truth: truth,
		Settings: node.Settings{Threshold: threshold, MaxNodes: 100_000},
	}
	if err := audit.Settle(ctx, in); err != nil {
		t.Fatal(err)
	}
	in.Messages = w.telegram.Messages()
	v, err := audit.Run(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range v.Errors() {
		t.Error(e)
	}
	w.up()
	eventually(t, time.Minute, "all nodes are up", w.allUp)
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "the update and all those crashes, while 40 nodes report through the proxy", Rounds: 1,
		Must: "nothing acknowledged, no transition and no alert lost, no false DOWN or LOST", Seen: v.String(),
	})
}

// restored loses the machine: what backup saved is put into an empty deployment.
func (w *world) restored(t *testing.T) {
	w = w.with(t)
	file := filepath.Join(t.TempDir(), "monitor.backup")
	w.command(filepath.Join(folder, "backup"), file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v", info, err)
	}
	events := w.events()
	w.compose("stop")
	w.compose("rm", "-f")
	for _, volume := range []string{"postgres", "nats"} {
		run(t, "docker", "volume", "rm", w.project+"_"+volume)
	}
	w.up()
	if fresh := w.events(); len(fresh) >= len(events) {
		t.Fatalf("%d events in an empty database", len(fresh))
	}
	said := len(w.telegram.Messages())
	begun := time.Now()
	w.command(filepath.Join(folder, "restore"), file)
	took := time.Since(begun)
	now := w.events()
	for id, line := range events {
		if now[id] != line {
			t.Errorf("event %s was %q, is %q", id, line, now[id])
		}
	}
	eventually(t, time.Minute, "all nodes are up", w.allUp)
	for _, m := range w.telegram.Messages()[said:] {
		if strings.Contains(m.Plain, "joined") || strings.Contains(m.Plain, "New Gensyn") {
			t.Errorf("told again: %s", m.Plain)
		}
	}
	// A file that is no backup changes nothing.
	if err := os.WriteFile(file, []byte("no backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "restore"), file)
	cmd.Env = w.environment()
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("restored from nothing: %s", out)
	}
	if again := w.events(); len(again) < len(events) {
		t.Errorf("%d of %d events after a restore that failed", len(again), len(events))
	}
	eventually(t, time.Minute, "all nodes are up", w.allUp)
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "the disk is lost: a backup is restored into an empty deployment, next to a stream that began anew", Rounds: 1,
		Must: "all events are there with their ids, all nodes up without an alert told again",
		Seen: fmt.Sprintf("%d events restored in %.0f s", len(events), took.Seconds()),
	})
}

// events are what happened, by id.
func (w *world) events() map[string]string {
	w.t.Helper()
	c, err := pgx.Connect(w.t.Context(), w.database("web"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close(w.t.Context())
	rows, err := c.Query(w.t.Context(), `SELECT id, concat_ws(' ', kind, node_id, from_state, to_state, reason, at) FROM events`)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make(map[string]string)
	var id, line string
	if _, err := pgx.ForEachRow(rows, []any{&id, &line}, func() error { out[id] = line; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return out
}
