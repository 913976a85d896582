// Package chaos_test runs the monitor as replicas under random faults, and audits what it did.
package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/audit"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	nodes = 40
	short = 45 * time.Second
	// thorough is the threshold under chaos: long enough that no single fault hides a healthy node for all of it.
	thorough = 10 * time.Second
)

// programs compiles what the tests start, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-chaos-bin-")
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir, cluster.Programs...)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// length is how long faults happen: CHAOS_MINUTES, or a short time.
func length(t *testing.T) time.Duration {
	v := os.Getenv("CHAOS_MINUTES")
	if v == "" {
		return short
	}
	minutes, err := strconv.ParseFloat(v, 64)
	if err != nil || minutes <= 0 || minutes > 24*60 {
		t.Fatalf("CHAOS_MINUTES=%q: want a number of minutes", v)
	}
	return time.Duration(minutes * float64(time.Minute))
}

// seed is CHAOS_SEED, or another one each time; it chooses the faults, not their outcome.
func seed(t *testing.T) uint64 {
	v := os.Getenv("CHAOS_SEED")
	if v == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("CHAOS_SEED=%q: want a number", v)
	}
	return n
}

// world is a monitor with a fake Telegram and what happens to it.
type world struct {
	*cluster.Replicated
	telegram  *telegramtest.Server
	threshold time.Duration
}

// start runs a monitor of replicas and removes it at the end of the test, showing its logs when the test failed.
func start(t *testing.T, threshold time.Duration, env ...string) *world {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gensyn-chaos-") // not t.TempDir: Postgres, as another user, could not enter it
	if err != nil {
		t.Fatal(err)
	}
	w := &world{telegram: telegramtest.New(), threshold: threshold}
	t.Cleanup(func() {
		w.telegram.Close()
		keep(t, dir)
	})
	w.Replicated, err = cluster.StartReplicated(t.Context(), cluster.ReplicatedOptions{
		Dir: dir, Bin: bin, Secret: secret, Telegram: w.telegram.URL(),
		Env: append([]string{
			fmt.Sprintf("DOWN_THRESHOLD_SEC=%v", threshold.Seconds()), "TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
			"TELEGRAM_CHAT_ID=100", "TZ=UTC", "ADMIN_TOKEN=chaos-admin",
		}, env...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

const secret = "chaos-secret"

// keep removes the directory of a run, but keeps the logs of one that failed.
func keep(t *testing.T, dir string) {
	if !t.Failed() {
		os.RemoveAll(dir)
		return
	}
	for _, data := range []string{"postgres", "nats-a", "nats-b", "nats-c"} {
		os.RemoveAll(filepath.Join(dir, data))
	}
	t.Logf("the logs are in %s", dir)
}

// input is what an audit looks at.
func (w *world) input(truth []fleet.Node) audit.Input {
	return audit.Input{
		NATSURL: w.NATSURL, DatabaseURL: w.Postgres.URL("postgres"),
		Settings: node.Settings{Threshold: w.threshold, MaxNodes: 100_000},
		Truth:    truth, Messages: w.telegram.Messages(),
	}
}

// rest stops the agents and ingests, waits until all is folded and told, and audits.
func (w *world) rest(t *testing.T, f *fleet.Fleet, stop func()) audit.Verdict {
	t.Helper()
	stop()
	for _, i := range w.Ingests {
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := audit.Settle(ctx, w.input(nil)); err != nil {
		t.Errorf("it does not come to rest: %v", err)
	}
	v, err := audit.Run(ctx, w.input(f.Truth()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run lets the fleet report until stop is called, which waits for it.
func run(ctx context.Context, f *fleet.Fleet) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

// Whatever happens to the replicas and between them: no acknowledged heartbeat is lost, the transitions are those of the
// reference, nobody is called down or lost who was not, every alert is told, and none twice but the frozen one.
func TestChaos(t *testing.T) {
	long, seed := length(t), seed(t)
	t.Logf("CHAOS_SEED=%d for %v", seed, long)
	w := start(t, thorough)
	f := fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL, w.Ingests[1].URL}, Secret: secret, Prefix: "chaos", Nodes: nodes,
		Interval: 1200 * time.Millisecond, Seed: seed,
	})
	stop := run(t.Context(), f)
	defer stop()
	time.Sleep(3 * time.Second)
	m := newMayhem(t, w, seed)
	m.run(long, f)
	w.Heal()
	// Whoever is silent by now is found within two thresholds and fifteen seconds, without help.
	time.Sleep(2*thorough + 15*time.Second)
	v := w.rest(t, f, stop)
	t.Logf("faults: %s", m)
	t.Logf("answers: %v", f.Answers())
	t.Log(v)
	for _, e := range v.Errors() {
		t.Error(e)
	}
	explained := m.explain(t, v.Repeats)
	if v.Acknowledged < nodes*int(long/(4*time.Second)) {
		t.Errorf("only %d heartbeats were acknowledged: this shows nothing", v.Acknowledged)
	}
	reliability.Report(t, reliability.Row{
		Group: "Everything at once", Fault: fmt.Sprintf("random faults for %v, %d nodes: %s", long, nodes, m),
		Must: "heartbeats lost 0, transitions lost 0 or doubled 0, false DOWN or LOST 0, alerts lost 0, repeats explained",
		Seen: v.String() + explained, Rounds: m.count(),
	})
}

// describe makes one line of counts.
func describe(counts map[string]int, names []string) string {
	parts := make([]string, 0, len(names))
	for _, n := range names {
		parts = append(parts, fmt.Sprintf("%d × %s", counts[n], n))
	}
	return strings.Join(parts, ", ")
}
