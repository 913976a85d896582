package crashpoint_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/rig"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	threshold  = 6 * time.Second
	adminToken = "crash-admin"
	patience   = 40 * time.Second // for one thing to happen, on a busy machine
)

// chats each have two notifiers of their own, so that their crashes do not wait for one another.
var chats = []string{"100", "200", "300"}

// monitor is two of each service, and agents.
type monitor struct {
	*rig.Rig
	telegram   *telegramtest.Server
	fleet      *rig.Fleet
	ingests    [2]*rig.Service
	evaluators [2]*rig.Service
	webs       [2]*rig.Service
	notifiers  map[string]*[2]*rig.Service
	steady     []string

	mu   sync.Mutex
	seen map[string][]time.Duration // by program: how long until another took over
}

// programs are built once, with crash points in them.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-crash-bin-")
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir, append([]string{"-tags", "crashpoint"}, cluster.Programs...)...)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func start(t *testing.T) *monitor {
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	m := &monitor{telegram: telegramtest.New(), notifiers: map[string]*[2]*rig.Service{}, seen: map[string][]time.Duration{}}
	t.Cleanup(m.telegram.Close)
	m.Rig, err = rig.Start(t.Context(), rig.Options{Bin: bin, Env: []string{
		fmt.Sprintf("DOWN_THRESHOLD_SEC=%v", threshold.Seconds()), "ADMIN_TOKEN=" + adminToken, "TZ=UTC",
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_API_URL=" + m.telegram.URL(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.showLogs(t)
		}
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	m.evaluators = m.pair(t, "evaluator", "evaluator")
	m.webs = m.pair(t, "web", "web")
	for _, chat := range chats {
		m.notifiers[chat] = new(m.pair(t, "notifier", "notifier-"+chat, "TELEGRAM_CHAT_ID="+chat))
	}
	m.ingests = m.pair(t, "ingest", "ingest")
	m.report(t)
	return m
}

func (m *monitor) pair(t *testing.T, program, name string, env ...string) (p [2]*rig.Service) {
	t.Helper()
	for i := range p {
		s, err := m.Add(t.Context(), program, fmt.Sprintf("%s-%d", name, i+1), env...)
		if err == nil {
			err = s.AwaitReady(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		p[i] = s
	}
	return p
}

// report starts the agents: some that are always well, and one that falls silent again and again.
func (m *monitor) report(t *testing.T) {
	m.fleet = rig.NewFleet(m.ingests[0].URL, m.ingests[1].URL)
	t.Cleanup(m.fleet.Close)
	for i := range 5 {
		id := fmt.Sprintf("steady-%d", i+1)
		m.steady = append(m.steady, id)
		m.fleet.Set(id, "UP")
	}
}

func (m *monitor) showLogs(t *testing.T) {
	files, _ := os.ReadDir(m.Dir)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".log") {
			continue
		}
		data, _ := os.ReadFile(m.Dir + "/" + f.Name())
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		t.Logf("%s:\n%s", f.Name(), strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
}

func (m *monitor) took(program string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[program] = append(m.seen[program], d)
}

// term is how often a lease was taken; chat "" is the evaluators'.
func (m *monitor) term(t *testing.T, chat string) (term int64) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), m.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	query, args := `SELECT term FROM partitions`, []any{}
	if chat != "" {
		query, args = `SELECT term FROM chats WHERE chat = $1`, []any{chat}
	}
	if err := c.QueryRow(t.Context(), query, args...).Scan(&term); err != nil {
		t.Fatal(err)
	}
	return term
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// points are the steps of one program.
func points(program string) []crashpoint.Point {
	return slices.DeleteFunc(slices.Clone(crashpoint.Points), func(p crashpoint.Point) bool {
		return !strings.HasPrefix(p.Name, program+".")
	})
}

// died waits until the process has killed itself.
func died(t *testing.T, s *rig.Service, p crashpoint.Point) time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	killed, err := s.Ended(ctx)
	if err != nil {
		t.Fatalf("%s was not reached: %v", p.Name, err)
	}
	if !killed {
		t.Fatalf("%s: the process ended, but not by the crash point", p.Name)
	}
	return time.Now()
}

// arm starts a process that will die at the point. It may do so before it says that it is there.
func arm(t *testing.T, s *rig.Service, p crashpoint.Point) {
	t.Helper()
	must(t, s.Stop())
	if err := s.Restart(t.Context(), crashpoint.Variable+"="+p.Name); err != nil {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if killed, _ := s.Ended(ctx); !killed {
			t.Fatal(err)
		}
	}
}

// settings are those that the evaluators start with.
var settings = node.Settings{Threshold: threshold, MaxNodes: 100_000}
