package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/audit"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const nodes = 40

// A cluster, a deployment, and what happens to it. The parts follow one another.
func TestKubernetes(t *testing.T) {
	l := start(t)
	begun := time.Now()
	l.deploy()
	t.Logf("all is ready after %v", time.Since(begun).Round(time.Second))
	w := newWorld(t, l)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a failure is told in Telegram", w.told},
		{"nobody reaches what the picture does not draw", w.arrows},
		{"a pod that is not restricted is refused", w.restricted},
		{"an update refuses no heartbeat", w.update},
		{"every pod is killed", w.killed},
		{"nothing was lost", w.audited},
	} {
		if !t.Run(part.name, part.run) {
			return // what follows would fail for the same reason
		}
	}
}

// world is the deployment with nodes that report to it.
type world struct {
	*lab
	fleet       *fleet.Fleet
	ingest, web string
	stop        func() // ends the reporting
}

func newWorld(t *testing.T, l *lab) *world {
	t.Helper()
	w := &world{lab: l, ingest: l.service("ingest"), web: l.service("web")}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	w.stop = func() { cancel(); <-ended }
	w.fleet = fleet.New(fleet.Options{
		URLs: []string{w.ingest}, Secret: l.secret("ingest", "SHARED_SECRET"), Prefix: "node", Nodes: nodes,
		Interval: time.Second, Limit: 10 * time.Second, Seed: 1,
	})
	go func() { defer close(ended); w.fleet.Run(ctx) }()
	t.Cleanup(w.stop)
	return w
}

func (w *world) with(t *testing.T) *world {
	part := *w
	part.lab = w.lab.with(t)
	return &part
}

// allUp reports whether the page's API shows every node up.
func (w *world) allUp() bool {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(w.web + "/api/nodes")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var list []struct{ State string }
	if err != nil || json.Unmarshal(body, &list) != nil {
		return false
	}
	return len(list) >= nodes && !slices.ContainsFunc(list, func(n struct{ State string }) bool { return n.State != "up" })
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

// visitor is a pod that pretends to be a program, as one whose process was taken over could. It is never ready, so that no
// Service sends it anything.
func (w *world) visitor(space, program string) string {
	w.t.Helper()
	name := "visitor-" + program
	w.command(nil, script, "kubectl", "-n", space, "run", name, "--image=k8slab.local/visitor:v1", "--labels=app.kubernetes.io/name="+program,
		`--overrides={"apiVersion":"v1","spec":{"automountServiceAccountToken":false,"securityContext":{"runAsNonRoot":true,"runAsUser":65534,"seccompProfile":{"type":"RuntimeDefault"}},`+
			`"containers":[{"name":"`+name+`","image":"k8slab.local/visitor:v1","readinessProbe":{"exec":{"command":["/visitor","dial","nowhere.invalid:1"]}},`+
			`"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`)
	w.command(nil, script, "kubectl", "-n", space, "wait", "--for=jsonpath={.status.phase}=Running", "pod/"+name, "--timeout=60s")
	return name
}

// arrows tries every way between the programs, from pods that carry their labels.
func (w *world) arrows(t *testing.T) {
	w = w.with(t)
	w.command(nil, script, "kubectl", "create", "namespace", "elsewhere")
	w.command(nil, script, "kubectl", "create", "namespace", "ingress-nginx")
	w.command(nil, script, "kubectl", "create", "namespace", "monitoring")
	to := map[string]string{
		"ingest": w.address("ingest", "8080"), "ingest's figures": w.address("ingest", "9101"), "web": w.address("web", "8080"),
		"evaluator's figures": w.address("evaluator", "9102"), "NATS": w.address("nats", "4222"),
		"Postgres": w.address("postgres", "5432"), "Telegram": machine,
	}
	for _, from := range []struct{ space, program, allowed string }{
		{namespace, "ingest", "NATS"},
		{namespace, "evaluator", "NATS, Postgres"},
		{namespace, "notifier", "NATS, Postgres, Telegram"},
		{namespace, "web", "NATS, Postgres"},
		{namespace, "stranger", ""},
		{"ingress-nginx", "controller", "Telegram, ingest, web"}, // what leaves other namespaces is not ours to forbid
		{"monitoring", "prometheus", "Telegram, evaluator's figures, ingest's figures"},
		{"elsewhere", "ingest", "Telegram"},
	} {
		name := w.visitor(from.space, from.program)
		reached := func() string {
			var mu sync.Mutex
			var out []string
			var tries sync.WaitGroup
			for who, address := range to {
				tries.Go(func() {
					if _, err := try(nil, time.Minute, script, "kubectl", "-n", from.space, "exec", name, "--", "/visitor", "dial", address); err == nil {
						mu.Lock()
						defer mu.Unlock()
						out = append(out, who)
					}
				})
			}
			tries.Wait()
			slices.Sort(out)
			return strings.Join(out, ", ")
		}
		// A new pod is known to the policies after a moment.
		got := reached()
		if got != from.allowed {
			got = reached()
		}
		if got != from.allowed {
			t.Errorf("%s in %s reaches %q, want %q", from.program, from.space, got, from.allowed)
		}
		w.command(nil, script, "kubectl", "-n", from.space, "delete", "pod", name, "--now")
	}
}

// address is one pod of a program.
func (w *world) address(program, port string) string {
	w.t.Helper()
	return w.kubectl("get", "pods", "-l", "app.kubernetes.io/name="+program, "-o", "jsonpath={.items[0].status.podIP}") + ":" + port
}

func (w *world) restricted(t *testing.T) {
	out, err := try(nil, time.Minute, script, "kubectl", "-n", namespace, "run", "root", "--image=k8slab.local/visitor:v1")
	if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("an ordinary pod: %s, %v", out, err)
	}
}

// update replaces every pod of ours, as another image would.
func (w *world) update(t *testing.T) {
	w = w.with(t)
	before := w.fleet.Answers()
	old := make(map[string]bool)
	for _, d := range deployments {
		for _, p := range w.pods(d) {
			old[p] = true
		}
	}
	begun := time.Now()
	for _, d := range deployments {
		w.kubectl("rollout", "restart", "deployment/"+d)
		w.kubectl("rollout", "status", "deployment/"+d, "--timeout=5m")
	}
	// Those that go still answer.
	eventually(t, time.Minute, "the old pods are gone", func() bool {
		for _, d := range deployments {
			if slices.ContainsFunc(w.pods(d), func(p string) bool { return old[p] }) {
				return false
			}
		}
		return true
	})
	took := time.Since(begun)
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
		Group: "Containers", Fault: "a rolling update in Kubernetes replaces every pod of the four services", Rounds: 1,
		Must: "every heartbeat is answered 200 at the first try",
		Seen: fmt.Sprintf("%d heartbeats during %.0f s, all answered 200", accepted, took.Seconds()),
	})
}

// killed deletes every pod at once as a lost machine does: without a word to its process.
func (w *world) killed(t *testing.T) {
	w = w.with(t)
	var slowest time.Duration
	rounds := 0
	for _, program := range append([]string{"nats", "postgres"}, deployments...) {
		begun, old := time.Now(), w.pods(program)
		rounds += len(old)
		uids := w.uids(program)
		w.kubectl("delete", "pod", "-l", "app.kubernetes.io/name="+program, "--grace-period=0", "--force")
		eventually(t, 3*time.Minute, "as many new pods are ready", func() bool {
			ready := w.uids(program, "True")
			return len(ready) == len(old) && !slices.ContainsFunc(ready, func(u string) bool { return slices.Contains(uids, u) })
		})
		// Every node is heard anew, and the page knows.
		accepted := w.fleet.Answers()[http.StatusOK]
		eventually(t, time.Minute, "heartbeats are accepted", func() bool { return w.fleet.Answers()[http.StatusOK] >= accepted+2*nodes })
		eventually(t, time.Minute, "all nodes are up", w.allUp)
		took := time.Since(begun)
		t.Logf("%s: as before after %.1f s", program, took.Seconds())
		slowest = max(slowest, took)
	}
	w.fleet.Set(1, fleet.Silent)
	w.tells(2*threshold+30*time.Second, "node-001")
	w.fleet.Set(1, fleet.Works)
	eventually(t, 30*time.Second, "the node is up again", w.allUp)
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "all pods of a program are deleted by force in Kubernetes, one program after the other: NATS, Postgres, evaluator, notifier, web, ingest", Rounds: rounds,
		Must: "everything is as before within three minutes, and a silent node is noticed",
		Seen: fmt.Sprintf("as before after %.0f s at most", slowest.Seconds()),
	})
}

// uids tell pods apart that bear the same name one after the other; with ready, those alone whose readiness is that.
func (w *world) uids(program string, ready ...string) []string {
	w.t.Helper()
	format := "jsonpath={range .items[*]}{.metadata.uid} {.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}"
	var out []string
	for line := range strings.Lines(w.kubectl("get", "pods", "-l", "app.kubernetes.io/name="+program, "-o", format)) {
		uid, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(ready) == 0 || slices.Contains(ready, status) {
			out = append(out, uid)
		}
	}
	return out
}

// audited compares all that happened with the truth.
func (w *world) audited(t *testing.T) {
	w = w.with(t)
	w.kubectl("scale", "deployment/ingest", "--replicas=0") // the autoscaler leaves none alone
	eventually(t, time.Minute, "no ingest", func() bool { return len(w.pods("ingest")) == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in := audit.Input{
		NATSURL: w.reach("evaluator", "NATS_URL", "nats", "4222"), DatabaseURL: w.reach("evaluator", "DATABASE_URL", "postgres", "5432"),
		Truth: w.fleet.Truth(), Settings: node.Settings{Threshold: threshold, MaxNodes: 100_000},
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
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "the update and all those deletions in Kubernetes, while 40 nodes report", Rounds: 1,
		Must: "nothing acknowledged, no transition and no alert lost, no false DOWN or LOST", Seen: v.String(),
	})
}
