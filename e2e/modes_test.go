package e2e_test

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
	"github.com/gensyn-monitor/gensyn-monitor/standalone/stack"
)

func fakeTelegram(t *testing.T) *telegramtest.Server {
	s := telegramtest.New()
	t.Cleanup(s.Close)
	return s
}

// oneProcess is the stack that standalone runs.
type oneProcess struct {
	dir, telegram, addr string
	tracing             tracing.Exporting
	threshold           time.Duration // 0 for the suite's
	cancel              context.CancelFunc
	done                chan error
}

func (o *oneProcess) start(t *testing.T) {
	t.Helper()
	s, err := stack.New(t.Context(), stack.Options{
		DataDir: o.dir, ListenAddr: o.addr,
		Ingest:    ingest.Config{SharedSecret: secret},
		Evaluator: evaluator.Config{ThresholdSec: cmp.Or(o.threshold, threshold).Seconds(), MaxNodes: 1000, HistoryDays: 400},
		Notifier: notifier.Config{
			Token: "123456:end-to-end", ChatIDs: notifier.ChatList{chat}, TelegramURL: o.telegram, Language: "en", TZ: "UTC",
		},
		Web:     web.Config{SiteTitle: "Nodes", AdminToken: settings.Secret(adminToken)},
		Tracing: o.tracing,
		Log:     zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.addr = s.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel, o.done = cancel, make(chan error, 1)
	go func() { o.done <- s.Run(ctx) }()
}

func (o *oneProcess) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	o.cancel()
	if err := <-o.done; err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to stop, want at most 5 s", took)
	}
}

func TestInOneProcess(t *testing.T) {
	telegram := fakeTelegram(t)
	o := &oneProcess{dir: t.TempDir(), telegram: telegram.URL(), addr: "127.0.0.1:0"}
	o.start(t)
	t.Cleanup(func() { o.stop(t) })
	s := &system{ingest: "http://" + o.addr, web: "http://" + o.addr, telegram: telegram}
	// A process cannot kill a part of itself; TestStandaloneKilled kills the whole.
	s.crash = func(t *testing.T, pause time.Duration) {
		o.stop(t)
		time.Sleep(pause)
		o.start(t)
	}
	suite(t, s)
}

// programs compiles what the tests start, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-e2e-bin-")
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir, append(cluster.Programs,
		"github.com/gensyn-monitor/gensyn-monitor/standalone")...)
})

func bin(t *testing.T) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// fourPrograms starts the services as programs of their own, and ends them with the test.
func fourPrograms(t *testing.T, env ...string) (*cluster.Cluster, *system) {
	t.Helper()
	telegram := fakeTelegram(t)
	dir, err := os.MkdirTemp("", "gensyn-e2e-") // not t.TempDir: Postgres, as another user, could not enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, err := cluster.Start(t.Context(), cluster.Options{
		Dir: dir, Bin: bin(t), Secret: secret, Env: append(environment(telegram.URL()), env...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			showLogs(t, dir)
		}
	})
	return c, &system{ingest: c.IngestURL, web: c.WebURL, telegram: telegram}
}

func TestAsFourPrograms(t *testing.T) {
	c, s := fourPrograms(t)
	s.crash = func(t *testing.T, pause time.Duration) {
		for _, p := range c.Services() {
			p.Kill()
		}
		time.Sleep(pause)
		if err := c.StartServices(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	suite(t, s)
	t.Run("NATS off for longer than the threshold", func(t *testing.T) { s.testNATSOff(t, c) })
	t.Run("the database off for longer than the threshold", func(t *testing.T) { s.testDatabaseOff(t, c) })
}

// While NATS is off agents get 503 at once. Nobody is lost for it, and what was refused does not land later.
func (s *system) testNATSOff(t *testing.T, c *cluster.Cluster) {
	s.keepAlive(t, "nats-1", "nats-2", "nats-3", "nats-4")
	for _, id := range []string{"nats-1", "nats-4"} {
		s.awaitRow(t, id, func(r row) bool { return r.Computed == "UP" })
	}
	c.NATS.Kill()
	began := time.Now()
	code, _ := s.post(t, secret, []byte(`{"node_id":"refused","status":"UP"}`))
	if took := time.Since(began); code != http.StatusServiceUnavailable || took > 4*time.Second {
		t.Errorf("without NATS: %d after %v, want 503 within 2 s", code, took)
	}
	time.Sleep(threshold + 2*time.Second)
	if err := c.NATS.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitRow(t, "nats-1", func(r row) bool { return r.Computed == "UP" && r.AgeSec <= 1 })
	time.Sleep(threshold + time.Second)
	if m := s.toldLost("nats-1", "nats-2", "nats-3", "nats-4"); len(m) != 0 {
		t.Errorf("healthy nodes were told because NATS was off:\n%s", show(m))
	}
	if i := slices.IndexFunc(s.rows(t), func(r row) bool { return r.NodeID == "refused" }); i >= 0 {
		t.Error("a heartbeat that was answered 503 landed after NATS was back")
	}
}

// While the database is off heartbeats are accepted. What happened meanwhile is told afterwards, once, and no more.
func (s *system) testDatabaseOff(t *testing.T, c *cluster.Cluster) {
	s.keepAlive(t, "db-1", "db-2", "db-3", "db-4")
	for _, id := range []string{"db-1", "db-4"} {
		s.awaitRow(t, id, func(r row) bool { return r.Computed == "UP" })
	}
	if err := c.Postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	s.report(t, "db-down", "DOWN", "reason=no_p2pd")
	time.Sleep(threshold + 2*time.Second)
	s.report(t, "db-down-2", "DOWN", "reason=no_p2pd")
	if err := c.Postgres.Restart(); err != nil {
		t.Fatal(err)
	}
	// After more than 20 alerts within a minute the next message waits for up to 15 s.
	s.told(t, 40*time.Second, "db-down", "p2pd")
	s.told(t, 40*time.Second, "db-down-2", "p2pd")
	time.Sleep(threshold)
	for _, r := range s.rows(t) {
		if strings.HasPrefix(r.NodeID, "db-") && len(r.NodeID) == 4 && r.Computed != "UP" {
			t.Errorf("a healthy node is %+v", r)
		}
	}
	if m := s.toldLost("db-1", "db-2", "db-3", "db-4"); len(m) != 0 {
		t.Errorf("healthy nodes were told because the database was off:\n%s", show(m))
	}
}

func showLogs(t *testing.T, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, log := range logs {
		data, _ := os.ReadFile(log)
		lines := strings.Split(string(data), "\n")
		t.Logf("%s:\n%s", filepath.Base(log), strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

// command starts the standalone program as a user would.
func command(t *testing.T, dir string, env ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin(t), "standalone"))
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}
