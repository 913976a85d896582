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
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"

	_ "modernc.org/sqlite" // to look into the survivor's database
)

// address is a free one.
func address(t *testing.T) string {
	t.Helper()
	addr, err := freeport.Address()
	must(t, err)
	return addr
}

// standalone starts the program as a user does, on a data directory.
func standalone(t *testing.T, dir, data, addr string, telegram *telegramtest.Server) *cluster.Process {
	t.Helper()
	p := &cluster.Process{
		Name: "standalone", Path: filepath.Join(bin(t), "standalone"), Ready: "http://" + addr + "/readyz",
		Env: append(environment(telegram), "DATA_DIR="+data, "LISTEN_ADDR="+addr), Log: filepath.Join(dir, "standalone.log"),
	}
	must(t, p.Start(t.Context()))
	t.Cleanup(p.Kill)
	return p
}

// The whole monitor in one process goes on by itself after a power cut: no acknowledged heartbeat and no transition is
// lost or doubled, and nothing is told twice but a frozen notification whose record was lost.
func TestStandalone(t *testing.T) {
	dir := room(t)
	empty, data := filepath.Join(dir, "empty"), filepath.Join(dir, "data")
	must(t, os.Mkdir(empty, 0o700), os.Mkdir(data, 0o700))
	w := &world{machine: machine(t)}
	disk := mount(t, w.machine, empty, data)
	telegram := fakeTelegram(t)
	w.watch(telegram)
	addr := address(t)
	p := standalone(t, dir, data, addr, telegram)
	ready := w.machine.Position()
	w.send(t, "http://"+addr)
	w.awaitTold(t, "http://"+addr)
	p.Kill()
	unmounted(t, disk)
	chance, n := luck(t), rounds(t, 1)
	for _, mode := range []Mode{Journalled, Torn} {
		t.Run(mode.String(), func(t *testing.T) {
			var all verdict
			for _, position := range w.later(t, chance, ready, n) {
				v := w.standaloneAfter(t, disk, position, mode, chance)
				t.Logf("cut at %d of %d: %v", position, w.machine.Position(), v)
				all.add(v)
			}
			all.sound(t)
			reliability.Report(t, reliability.Row{
				Group: group, Fault: fmt.Sprintf("power off under standalone (embedded NATS, SQLite), disk: %v", mode),
				Must: "it goes on by itself; nothing acknowledged is lost, no transition lost or doubled, nothing told twice but a frozen notification whose record was lost",
				Seen: all.String(), Rounds: n,
			})
		})
	}
}

func (w *world) standaloneAfter(t *testing.T, disk *Disk, position int, mode Mode, chance *rand.Rand) verdict {
	t.Helper()
	dir := room(t)
	data := filepath.Join(dir, "data")
	must(t, os.Mkdir(data, 0o700), disk.Survivor(data, position, mode, chance))
	telegram := fakeTelegram(t)
	addr, began := address(t), time.Now()
	stop := w.goOn(t, "http://"+addr)
	defer stop()
	p := standalone(t, dir, data, addr, telegram)
	defer p.Kill()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "monitor.db")+"?_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	must(t, err)
	defer db.Close()
	defer func() {
		if t.Failed() {
			t.Logf("cut at %d:\n%s", position, tail(p.Log))
		}
	}()
	return w.judge(t, position, telegram, db, began)
}
