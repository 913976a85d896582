package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/audit"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// programs compiles what the tests start, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir, cluster.Programs...)
})

// hurried are programs whose notifier calls the deadman address every 3 seconds, not every minute, and waits 30 seconds,
// not 10 minutes, for an alert to be told.
var hurried = sync.OnceValues(func() (string, error) {
	bin, err := programs()
	if err != nil {
		return "", err
	}
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	err = cluster.Build(context.Background(), dir, "-tags", "hurry", cluster.Notifier)
	for _, name := range []string{"ingest", "evaluator", "web", "nats-server"} {
		err = errors.Join(err, os.Symlink(filepath.Join(bin, name), filepath.Join(dir, name)))
	}
	return dir, err
})

// built are the folders that TestMain removes.
var built struct {
	sync.Mutex
	dirs []string
}

func temporary() (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-chaos-bin-")
	built.Lock()
	defer built.Unlock()
	built.dirs = append(built.dirs, dir)
	return dir, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range built.dirs {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// world is a monitor with a fake Telegram and what happens to it.
type world struct {
	*cluster.Replicated
	telegram  *telegramtest.Server
	threshold time.Duration
	dir       string // with the logs
	used      int    // the ingest, modulo two, that agents report to, or half of them
}

// options say what a world is made of.
type options struct {
	threshold time.Duration
	servers   int // of NATS; 0 for a cluster of three
	env       []string
	programs  func() (string, error) // nil for those of production
}

// start runs a monitor of replicas and removes it at the end of the test, keeping its logs when the test failed.
func start(t *testing.T, o options) *world {
	t.Helper()
	if o.programs == nil {
		o.programs = programs
	}
	bin, err := o.programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gensyn-chaos-") // not t.TempDir: Postgres, as another user, could not enter it
	if err != nil {
		t.Fatal(err)
	}
	w := &world{telegram: telegramtest.New(), threshold: o.threshold, dir: dir}
	t.Cleanup(func() {
		w.telegram.Close()
		keep(t, dir)
	})
	w.Replicated, err = cluster.StartReplicated(t.Context(), cluster.ReplicatedOptions{
		Dir: dir, Bin: bin, Secret: secret, Telegram: w.telegram.URL(), Servers: o.servers,
		Env: append([]string{
			fmt.Sprintf("DOWN_THRESHOLD_SEC=%v", o.threshold.Seconds()), "TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
			"TELEGRAM_CHAT_ID=100", "TZ=UTC", "ADMIN_TOKEN=chaos-admin",
		}, o.env...),
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
func (w *world) rest(t *testing.T, stop func(), fleets ...*fleet.Fleet) audit.Verdict {
	t.Helper()
	stop()
	var truth []fleet.Node
	for _, f := range fleets {
		truth = append(truth, f.Truth()...)
	}
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
	v, err := audit.Run(ctx, w.input(truth))
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
