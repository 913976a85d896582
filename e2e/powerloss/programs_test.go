package powerloss

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// host is the separate programs on two disks, one of Postgres and one of nats-server, that lose power together.
type host struct {
	world
	database, stream *Disk
	password         []byte
	ready            int
}

// mount mounts a fresh database and an empty store of nats-server under dir.
func (h *host) mount(t *testing.T, dir string) {
	t.Helper()
	pg, empty, nats := filepath.Join(dir, "postgres"), filepath.Join(dir, "empty"), filepath.Join(dir, "nats")
	must(t, os.Mkdir(pg, 0o700), os.Mkdir(empty, 0o755), os.Mkdir(nats, 0o755))
	h.database, h.password = freshDatabase(t, h.machine, pg)
	h.stream = mount(t, h.machine, empty, nats)
}

func start(t *testing.T, dir, addr string, telegram *telegramtest.Server) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{
		Dir: dir, InAddr: addr, Bin: bin(t), Secret: secret, Env: environment(telegram),
	})
	must(t, err)
	t.Cleanup(func() { off(c) })
	return c
}

// off ends everything as kill -9 does.
func off(c *cluster.Cluster) {
	for _, p := range append(c.Services(), c.NATS) {
		p.Kill()
	}
	_ = c.Postgres.Kill()
}

// The separate programs go on by themselves after Postgres and nats-server lost power at the same moment.
func TestPrograms(t *testing.T) {
	dir := room(t)
	h := &host{world: world{machine: machine(t)}}
	h.mount(t, dir)
	telegram := fakeTelegram(t)
	h.watch(telegram)
	c := start(t, dir, address(t), telegram)
	h.ready = h.machine.Position()
	h.send(t, c.IngestURL)
	h.awaitTold(t, c.IngestURL)
	off(c)
	unmounted(t, h.database)
	unmounted(t, h.stream)
	chance, n := luck(t), rounds(t, 1)
	for _, mode := range disks([]Mode{Journalled, Torn}, Journalled) {
		t.Run(mode.String(), func(t *testing.T) {
			var all verdict
			for _, position := range h.later(t, chance, h.ready, n) {
				v := h.after(t, position, mode, chance)
				t.Logf("cut at %d of %d: %v", position, h.machine.Position(), v)
				all.add(v)
			}
			all.sound(t)
			reliability.Report(t, reliability.Row{
				Group: group, Fault: fmt.Sprintf("power off under the separate programs, Postgres and nats-server at the same moment, disk: %v", mode),
				Must: "they go on by themselves; nothing acknowledged is lost, no transition lost or doubled, nothing told twice but a frozen notification whose record was lost",
				Seen: all.String(), Rounds: n,
			})
		})
	}
}

func (h *host) after(t *testing.T, position int, mode Mode, chance *rand.Rand) verdict {
	t.Helper()
	dir := room(t)
	pg := filepath.Join(dir, "postgres")
	data, nats := filepath.Join(pg, "data"), filepath.Join(dir, "nats")
	must(t, os.Mkdir(pg, 0o700), os.Mkdir(data, 0o700), os.Mkdir(nats, 0o755))
	must(t, os.WriteFile(filepath.Join(pg, "password"), h.password, 0o600))
	must(t, h.database.Survivor(data, position, mode, chance), h.stream.Survivor(nats, position, mode, chance))
	telegram := fakeTelegram(t)
	addr, began := address(t), time.Now()
	stop := h.goOn(t, "http://"+addr)
	defer stop()
	c := start(t, dir, addr, telegram)
	defer off(c)
	db, err := sql.Open("pgx", c.DatabaseURL)
	must(t, err)
	defer db.Close()
	defer func() {
		if t.Failed() {
			t.Logf("cut at %d:\n%s\n%s", position, tail(c.Evaluator.Log), tail(c.NATS.Log))
		}
	}()
	return h.judge(t, position, telegram, db, began)
}
