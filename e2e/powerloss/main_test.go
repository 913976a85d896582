package powerloss

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// group is the part of docs/reliability.md that these tests fill.
const group = "Power loss"

// syncDelay is how long an fsync takes on the tests' disks.
const syncDelay = 300 * time.Microsecond

// kept are folders that all tests use; they are removed at the end.
var kept []string

func keep(name string) (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-powerloss-"+name+"-")
	if err == nil {
		kept = append(kept, dir)
	}
	return dir, err
}

// programs compiles what the tests start, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := keep("bin")
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir, append(cluster.Programs,
		"github.com/gensyn-monitor/gensyn-monitor/standalone")...)
})

func TestMain(m *testing.M) {
	ServeIfAsked()
	parentIfAsked()
	code := m.Run()
	for _, dir := range kept {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func bin(t *testing.T) string {
	t.Helper()
	dir, err := programs()
	must(t, err)
	return dir
}

// rounds is how many times the power goes in a test: POWERLOSS_ROUNDS, or a few.
func rounds(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("POWERLOSS_ROUNDS")
	if text == "" && testing.Short() {
		return 1
	}
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// disks are those of a test: all, or the few of its short form (go test -short).
func disks(all []Mode, few ...Mode) []Mode {
	if testing.Short() {
		return few
	}
	return all
}

// luck is the chance of one test: of POWERLOSS_SEED, or of a seed that is printed.
func luck(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("POWERLOSS_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("POWERLOSS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// machine is one that is closed after the test, which must not have failed.
func machine(t *testing.T) *Machine {
	t.Helper()
	m, err := NewMachine(syncDelay)
	must(t, err)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// mount mounts a disk until the end of the test, or until it is unmounted before.
func mount(t *testing.T, m *Machine, from, at string) *Disk {
	t.Helper()
	d, err := m.Mount(from, at)
	must(t, err)
	t.Cleanup(func() { unmounted(t, d) })
	return d
}

func unmounted(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.Unmount(); err != nil {
		t.Error(err)
	}
}

// room is a temporary folder that Postgres, as another user, may enter.
func room(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gensyn-powerloss-")
	must(t, err, os.Chmod(dir, 0o711))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// moments are positions between two others: some anywhere, most where a sync has just been completed or is about to be,
// for that is where mistakes are.
func moments(t *testing.T, m *Machine, chance *rand.Rand, from, to, n int) []int {
	t.Helper()
	syncs, err := m.Syncs(from, to)
	must(t, err)
	var out []int
	for i := range n {
		at := from + chance.IntN(max(to-from, 1))
		if i%3 != 0 && len(syncs) > 0 {
			at = syncs[chance.IntN(len(syncs))] - i%3 + 1
		}
		out = append(out, at)
	}
	slices.Sort(out)
	return out
}

// natsServer is a nats-server that keeps its streams in store.
func natsServer(t *testing.T, dir, store, syncInterval string) (p *cluster.Process, url string) {
	t.Helper()
	addr, err := freeport.Address()
	must(t, err)
	monitor, err := freeport.Address()
	must(t, err)
	conf := fmt.Sprintf("listen: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: %q, max_file: 4G }\n", addr, monitor, store, syncInterval)
	name := filepath.Base(store)
	path := filepath.Join(dir, name+".conf")
	must(t, os.WriteFile(path, []byte(conf), 0o600))
	p = &cluster.Process{
		Name: "nats-server", Path: filepath.Join(bin(t), "nats-server"), Args: []string{"-c", path},
		Ready: "http://" + monitor + "/healthz", Log: filepath.Join(dir, name+".log"),
	}
	must(t, p.Start(t.Context()))
	t.Cleanup(p.Kill)
	return p, "nats://" + addr
}

// connect waits until the bus is connected.
func connect(t *testing.T, url string) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(bus.Options{URL: url, Name: t.Name()})
	must(t, err)
	t.Cleanup(b.Close)
	await(t, 20*time.Second, "a connection to NATS", func() bool { return b.Ready(t.Context()) == nil })
	return b
}

// await waits until ok.
func await(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %v", what, within)
		}
	}
}

// tail is the end of a log, for a failure's message.
func tail(path string) string {
	data, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
