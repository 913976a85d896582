package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
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
	cancel              context.CancelFunc
	done                chan error
}

func (o *oneProcess) start(t *testing.T) {
	t.Helper()
	s, err := stack.New(t.Context(), stack.Options{
		DataDir: o.dir, ListenAddr: o.addr,
		Ingest:    ingest.Config{SharedSecret: secret},
		Evaluator: evaluator.Config{ThresholdSec: threshold.Seconds(), MaxNodes: 1000, HistoryDays: 400},
		Notifier: notifier.Config{
			Token: "123456:end-to-end", ChatIDs: notifier.ChatList{chat}, TelegramURL: o.telegram, Language: "en", TZ: "UTC",
		},
		Web: web.Config{SiteTitle: "Nodes", AdminToken: settings.Secret(adminToken)},
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
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

func TestAsFourPrograms(t *testing.T) {
	telegram := fakeTelegram(t)
	dir, err := os.MkdirTemp("", "gensyn-e2e-") // not t.TempDir: Postgres, as another user, could not enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, err := cluster.Start(t.Context(), cluster.Options{
		Dir: dir, Bin: bin(t), Secret: secret, Env: environment(telegram.URL()),
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
	s := &system{ingest: c.IngestURL, web: c.WebURL, telegram: telegram}
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
