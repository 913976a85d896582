package stepclock_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/rig"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/stepclock"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	threshold = 3 * time.Second
	// found is how long after its last heartbeat a dead node must be told.
	found  = 2*threshold + 15*time.Second
	steady = 5 // nodes that are always well
)

// programs are built once, with clocks that can be stepped.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-clock-bin-")
	if err != nil {
		return "", err
	}
	return dir, stepclock.Build(context.Background(), dir, cluster.Programs...)
})

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait more than they compute: as many at once as there are processors would be few.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("5")
	}
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// monitor is one of each program, each with a clock of its own.
type monitor struct {
	*rig.Rig
	telegram *telegramtest.Server
	fleet    *rig.Fleet
	clocks   map[string]*stepclock.Clock // by program, and "nats"
	services map[string]*rig.Service
	took     []time.Duration // from the last heartbeat of a dead node to Telegram
}

// hosts are the machines that have clocks.
var hosts = []string{"nats", "evaluator", "notifier", "web", "ingest"}

// start starts everything, with clocks that are wrong from the beginning, beside other tests.
func start(t *testing.T, wrong map[string]time.Duration) *monitor {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	m := &monitor{telegram: telegramtest.New(), clocks: map[string]*stepclock.Clock{}, services: map[string]*rig.Service{}}
	t.Cleanup(m.telegram.Close)
	dir := t.TempDir()
	for _, host := range hosts {
		m.clocks[host] = newClock(t, filepath.Join(dir, host))
		m.clocks[host].Set(wrong[host])
	}
	m.Rig, err = rig.Start(t.Context(), rig.Options{Bin: bin, NATSEnv: []string{m.clocks["nats"].Env()}, Env: []string{
		fmt.Sprintf("DOWN_THRESHOLD_SEC=%v", threshold.Seconds()), "TZ=UTC", "TELEGRAM_CHAT_ID=100",
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_API_URL=" + m.telegram.URL(),
	}})
	must(t, err)
	t.Cleanup(func() { must(t, m.Stop()) })
	for _, program := range hosts[1:] {
		m.services[program], err = m.Add(t.Context(), program, program, m.clocks[program].Env())
		must(t, err)
		must(t, m.services[program].AwaitReady(t.Context()))
	}
	m.fleet = rig.NewFleet(m.services["ingest"].URL)
	t.Cleanup(m.fleet.Close)
	for i := range steady {
		m.fleet.Set(fmt.Sprintf("steady-%d", i+1), "UP")
	}
	m.told(t, 30*time.Second, "steady-1")
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
		t.FailNow()
	}
}

// told waits until one message holds all the texts.
func (m *monitor) told(t *testing.T, within time.Duration, texts ...string) telegramtest.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if _, err := m.telegram.WaitFor(ctx, func(all []telegramtest.Message) bool { return len(holding(all, texts)) > 0 }); err != nil {
		t.Fatalf("nothing with %q within %v:\n%s", texts, within, show(m.telegram.Messages()))
	}
	return holding(m.telegram.Messages(), texts)[0]
}

func holding(all []telegramtest.Message, texts []string) []telegramtest.Message {
	return slices.DeleteFunc(slices.Clone(all), func(m telegramtest.Message) bool {
		return slices.ContainsFunc(texts, func(x string) bool { return !strings.Contains(m.Plain, x) })
	})
}

func show(all []telegramtest.Message) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "--- %s\n%s\n", m.At.Format(time.TimeOnly), m.Plain)
	}
	return b.String()
}

// join starts nodes that will die.
func (m *monitor) join(t *testing.T, n int) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprintf("victim-%d.", i+1))
		m.fleet.Set(ids[i], "UP")
	}
	for _, id := range ids {
		m.told(t, 20*time.Second, id)
	}
	return ids
}

// awaitLost waits until the death is told, and notes how long that took.
func (m *monitor) awaitLost(t *testing.T, id string) telegramtest.Message {
	t.Helper()
	last := m.fleet.Last(id)
	message := m.told(t, time.Until(last.Add(found)), id, "LOST")
	m.took = append(m.took, message.At.Sub(last))
	return message
}

// figures are the median and the longest time to tell a death.
func (m *monitor) figures() (n int, median, most time.Duration) {
	sorted := slices.Sorted(slices.Values(m.took))
	return len(sorted), sorted[len(sorted)/2], sorted[len(sorted)-1]
}

// wrongly are messages that say of a healthy node that it is not.
func (m *monitor) wrongly() []telegramtest.Message {
	return slices.DeleteFunc(holding(m.telegram.Messages(), []string{"steady-"}), func(x telegramtest.Message) bool {
		return !strings.Contains(x.Plain, "LOST") && !strings.Contains(x.Plain, "DOWN")
	})
}

// row is what /api/nodes says of a node's age.
type row struct {
	NodeID   string `json:"node_id"`
	LastSeen int64  `json:"last_seen"`
	AgeSec   int64  `json:"age_sec"`
	Computed string `json:"computed"`
}

func (m *monitor) rows(t *testing.T) (rows []row, stale string) {
	t.Helper()
	resp, err := http.Get(m.services["web"].URL + "/api/nodes")
	must(t, err)
	defer resp.Body.Close()
	must(t, json.NewDecoder(resp.Body).Decode(&rows))
	return rows, resp.Header.Get("X-Monitor-Stale")
}

// record stops the agents and ingest, and reads what is left behind.
func (m *monitor) record(t *testing.T) *rig.Record {
	t.Helper()
	m.fleet.Close()
	must(t, m.services["ingest"].Stop())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := m.ReadRecord(ctx, node.Settings{Threshold: threshold, MaxNodes: 100_000})
	must(t, err)
	return r
}

// checkRecord compares the database with the reference fold, and counts blind spans.
func (m *monitor) checkRecord(t *testing.T) (blind, blindTold int) {
	t.Helper()
	r := m.record(t)
	if missing := r.Missing(m.fleet.Acknowledged()); len(missing) > 0 {
		t.Errorf("acknowledged and not in the stream: %+v", missing)
	}
	if !slices.Equal(r.Got, r.Want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(r.Got, "\n"), strings.Join(r.Want, "\n"))
	}
	for _, e := range r.Events {
		switch {
		case e.Kind == node.Blind:
			blind++
			if !e.Quiet {
				blindTold++
			}
		case strings.HasPrefix(e.NodeID, "steady-") && e.Kind != node.Joined:
			t.Errorf("a healthy node changed its state: %+v", e.Event)
		case e.Kind == node.Deaf || e.Kind == node.Stalled:
			t.Errorf("the monitor was not that: %+v", e.Event)
		}
	}
	return blind, blindTold
}
