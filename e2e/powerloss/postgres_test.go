package powerloss

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// database is a Postgres whose data lies on a disk.
type database struct {
	dir      string // with the password and the log, which are not on the disk
	password []byte
	disk     *Disk
	server   *postgrestest.Server
}

// fresh is a folder with a database whose schema is up to date, that nobody runs, and its password. It is made once.
var fresh = sync.OnceValues(func() (dir string, err error) {
	if dir, err = keep("db"); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return dir, err
	}
	server, err := postgrestest.StartServer(dir, postgrestest.Options{})
	if err != nil {
		return dir, err
	}
	store, err := postgres.Open(context.Background(), server.URL("postgres"), postgres.Options{})
	if err == nil {
		err = store.Close()
	}
	return dir, errors.Join(err, server.Stop())
})

// freshDatabase mounts one, counted as safe, where a server in dir looks for it.
func freshDatabase(t *testing.T, m *Machine, dir string) (d *Disk, password []byte) {
	t.Helper()
	from, err := fresh()
	must(t, err)
	data := filepath.Join(dir, "data")
	must(t, os.Mkdir(data, 0o700))
	password, err = os.ReadFile(filepath.Join(from, "password"))
	must(t, err, os.WriteFile(filepath.Join(dir, "password"), password, 0o600))
	return mount(t, m, filepath.Join(from, "data"), data), password
}

// newDatabase starts a database on a disk of the machine.
func newDatabase(t *testing.T, m *Machine, o postgrestest.Options) *database {
	t.Helper()
	db := &database{dir: room(t)}
	db.disk, db.password = freshDatabase(t, m, db.dir)
	t.Cleanup(func() { db.end(t) })
	var err error
	db.server, err = postgrestest.StartServer(db.dir, o)
	must(t, err)
	return db
}

// end kills the server and takes the disk away once the last of its processes is gone.
func (db *database) end(t *testing.T) {
	t.Helper()
	if db.server != nil {
		_ = db.server.Kill()
	}
	unmounted(t, db.disk)
}

// survivor starts a server on what a disk would hold.
func survivor(t *testing.T, d *Disk, password []byte, position int, mode Mode, chance *rand.Rand) *postgrestest.Server {
	t.Helper()
	dir := room(t)
	data := filepath.Join(dir, "data")
	must(t, os.Mkdir(data, 0o700), d.Survivor(data, position, mode, chance))
	must(t, os.WriteFile(filepath.Join(dir, "password"), password, 0o600))
	s, err := postgrestest.StartServer(dir, postgrestest.Options{Fsync: true})
	if err != nil {
		t.Fatalf("Postgres does not start on what survived at %d (%v): %v", position, mode, err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

// ledger is what writers were told by the database: for each partition the position in the journal at which the answer
// to each commit was here.
type ledger [writers][]int

const writers = 4

// write commits so many times without a pause, each writer to a partition of its own, one event a commit.
func (l *ledger) write(t *testing.T, url string, m *Machine, each uint64) {
	t.Helper()
	store, err := postgres.Open(t.Context(), url, postgres.Options{})
	must(t, err)
	defer store.Close()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			lease, err := store.Acquire(t.Context(), i, "writer", time.Minute, node.Settings{Threshold: time.Minute, MaxNodes: 10})
			for seq := uint64(1); err == nil && seq <= each; seq++ {
				if err = store.Commit(t.Context(), lease, at(seq-1), change(i, seq)); err == nil {
					l[i] = append(l[i], m.Position())
				}
			}
			if err != nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func at(seq uint64) node.Position { return node.Position{Epoch: 1, Seq: seq} }

func change(partition int, seq uint64) node.Changes {
	id := name(partition)
	return node.Changes{
		Clock: node.Clock{Position: at(seq)},
		Nodes: []node.Node{{ID: id, State: node.Up, Seq: int64(seq)}},
		Events: []node.Event{{
			ID:   node.EventID{Epoch: 1, Partition: partition, Seq: seq},
			Kind: node.Changed, NodeID: id, From: node.Down, To: node.Up, At: node.Stamp(seq),
		}},
	}
}

func name(partition int) string { return fmt.Sprintf("node-%d", partition) }

// check compares a store with what was acknowledged up to a position of the journal.
func (l *ledger) check(t *testing.T, store nodestore.Store, position int) (due, lost int, err error) {
	t.Helper()
	for i, acked := range l {
		_, p, committed := store.Committed(t.Context(), i)
		events, read := store.Events(t.Context(), name(i), 1<<20)
		if err := errors.Join(committed, read); err != nil {
			return due, lost, err
		}
		told := 0
		for told < len(acked) && acked[told] <= position {
			told++
		}
		due += told
		lost += max(0, told-int(p.Seq))
		if len(events) != int(p.Seq) {
			err = fmt.Errorf("partition %d: %d events at position %d: a commit survived in part", i, len(events), p.Seq)
		}
	}
	return due, lost, err
}

// Whatever Postgres committed is there after a power cut, whole, even on a disk that keeps only what POSIX demands.
func TestPostgres(t *testing.T) {
	chance := luck(t)
	m := machine(t)
	db := newDatabase(t, m, postgrestest.Options{Fsync: true})
	began := m.Position()
	var l ledger
	l.write(t, db.server.URL("postgres"), m, 200)
	disk, end, n := db.disk, m.Position(), rounds(t, 1)
	db.end(t)
	for _, mode := range disks(Modes, Torn, Minimal) {
		t.Run(mode.String(), func(t *testing.T) {
			due, lost := 0, 0
			for _, position := range moments(t, m, chance, (began+end)/2, end, n) {
				s := survivor(t, disk, db.password, position, mode, chance)
				store, err := postgres.Open(t.Context(), s.URL("postgres"), postgres.Options{})
				must(t, err)
				d, l, err := l.check(t, store, position)
				must(t, err, store.Close(), s.Stop())
				t.Logf("cut at %d of %d: %d of %d lost", position, end, l, d)
				due, lost = due+d, lost+l
			}
			if lost > 0 || due == 0 {
				t.Errorf("%d of %d acknowledged commits are lost", lost, due)
			}
			reliability.Report(t, reliability.Row{
				Group: group, Fault: fmt.Sprintf("power off under Postgres, disk: %v", mode),
				Must: "every acknowledged commit is there, none in part", Rounds: n,
				Seen: fmt.Sprintf("%d acknowledged before the cuts, %d lost", due, lost),
			})
		})
	}
}

// The control experiment: without fsync the same cut loses commits.
func TestPostgresWithoutFsyncLoses(t *testing.T) {
	m := machine(t)
	db := newDatabase(t, m, postgrestest.Options{Fsync: false})
	var l ledger
	l.write(t, db.server.URL("postgres"), m, 30)
	disk := db.disk
	db.end(t)
	s := survivor(t, disk, db.password, m.Position(), Journalled, nil)
	store, err := postgres.Open(t.Context(), s.URL("postgres"), postgres.Options{})
	must(t, err)
	due, lost, err := l.check(t, store, m.Position())
	must(t, err, store.Close())
	if lost == 0 {
		t.Errorf("nothing of %d commits is lost: the disk does not forget what was not synced", due)
	}
	reliability.Report(t, reliability.Row{
		Group: group, Fault: "control: power off under Postgres with fsync=off", Must: "the test sees a loss",
		Seen: fmt.Sprintf("%d of %d acknowledged commits lost", lost, due), Rounds: 1,
	})
}
