package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	nodestoretest.Run(t, func(t *testing.T) nodestoretest.Opener {
		path := filepath.Join(t.TempDir(), "monitor.db")
		return func(t *testing.T) nodestore.Store {
			t.Helper()
			s, err := Open(t.Context(), path, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

// clock is one that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// The clock of SQLite is that of the process, of which leases are to run out by the steady one.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	nodestoretest.RunClock(t, "SQLite", func(t *testing.T) nodestoretest.Clocked {
		var offset atomic.Int64
		path := filepath.Join(t.TempDir(), "monitor.db")
		now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		return nodestoretest.Clocked{
			Open: func(t *testing.T) nodestore.Store { return newStore(t, path, now) },
			Set:  func(_ *testing.T, to time.Duration) { offset.Store(int64(to)) },
		}
	})
}

func newStore(t *testing.T, path string, now func() time.Time) *store {
	t.Helper()
	s, err := Open(t.Context(), path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*store)
}

var settings = node.Settings{Threshold: time.Minute, MaxNodes: 10}

func TestLeasesCountByTheGivenClock(t *testing.T) {
	c := &clock{now: time.Unix(1_000_000, 0)}
	path := filepath.Join(t.TempDir(), "monitor.db")
	s := newStore(t, path, c.Now)
	acquire := func(owner string) error { // at first sight
		_, err := newStore(t, path, c.Now).Acquire(t.Context(), 0, owner, time.Minute, settings)
		return err
	}
	if err := acquire("a"); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute - 1)
	if err := acquire("b"); !errors.Is(err, nodestore.ErrHeld) {
		t.Errorf("within the lease: %v, want ErrHeld", err)
	}
	c.pass(1)
	if err := acquire("b"); err != nil {
		t.Errorf("after the lease: %v", err)
	}
	c.pass(7 * time.Second)
	if status, err := s.Status(t.Context(), 0); err != nil || status.CommittedAge != time.Minute+7*time.Second {
		t.Errorf("age %v, %v, want 1m7s", status.CommittedAge, err)
	}
}

func TestSettingsOfConnections(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "odd name %41 ?&#+.db"), nil)
	for _, tc := range []struct {
		db           *sql.DB
		pragma, want string
	}{
		{s.engine.writer, "journal_mode", "wal"}, {s.engine.writer, "synchronous", "2"}, {s.engine.writer, "foreign_keys", "1"},
		{s.engine.writer, "busy_timeout", "5000"}, {s.engine.reader, "busy_timeout", "5000"},
		{s.engine.reader, "query_only", "1"},
	} {
		var got string
		if err := tc.db.QueryRow("PRAGMA " + tc.pragma).Scan(&got); err != nil || got != tc.want {
			t.Errorf("%s is %q, %v, want %q", tc.pragma, got, err, tc.want)
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(fileOf(t, s)), "odd name %41 ?&#+.db"))
	if err != nil || len(files) != 1 {
		t.Errorf("the file does not have the name it was given: %v, %v", files, err)
	}
}

func fileOf(t *testing.T, s *store) (path string) {
	t.Helper()
	var seq int
	var name string
	if err := s.engine.writer.QueryRow("PRAGMA database_list").Scan(&seq, &name, &path); err != nil {
		t.Fatal(err)
	}
	return path
}

// A commit that fails halfway leaves nothing behind.
func TestCommitIsAtomic(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "monitor.db"), nil)
	l, err := s.Acquire(t.Context(), 0, "a", time.Hour, settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.writer.Exec(`CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END`); err != nil {
		t.Fatal(err)
	}
	from := node.Position{Epoch: 1}
	to := node.Position{Epoch: 1, Seq: 1}
	err = s.Commit(t.Context(), l, from, node.Changes{
		Clock: node.Clock{Position: to}, Nodes: []node.Node{{ID: "n"}}, Deleted: map[string]node.Stamp{"d": 1},
		Events: []node.Event{{ID: node.EventID{Epoch: 1, Seq: 1}}},
	})
	if err == nil || errors.Is(err, nodestore.ErrFenced) || errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("error %v, want the trigger's", err)
	}
	snapshot, err := nodestoretest.Load(t.Context(), s, l)
	if err != nil || len(snapshot.Nodes)+len(snapshot.Deleted) != 0 || snapshot.Clock.Position != from {
		t.Errorf("left behind: %+v, %v", snapshot, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor.db")
	s := newStore(t, path, nil)
	if _, err := s.engine.writer.Exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, nil); !errors.Is(err, nodestore.ErrNewerSchema) {
		t.Errorf("error %v, want ErrNewerSchema", err)
	}
}

func TestNewFileOpenedTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
}

func TestErrors(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "missing", "monitor.db"), nil); !errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("no folder: %v, want ErrUnavailable", err)
	}
	path := filepath.Join(t.TempDir(), "monitor.db")
	s, other := newStore(t, path, nil), newStore(t, path, nil)
	tx, err := other.engine.writer.BeginTx(t.Context(), nil) // another program writes
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Acquire(ctx, 0, "a", time.Hour, settings); !errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("busy: %v, want ErrUnavailable", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := s.Acquire(ctx, 0, "a", time.Hour, settings); !errors.Is(err, context.Canceled) || errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("called off: %v, want Canceled and not ErrUnavailable", err)
	}
	if _, err := s.Nodes(t.Context(), nodestore.NodeQuery{}); err != nil {
		t.Errorf("reading while another writes: %v", err)
	}
	if _, err := s.engine.reader.Exec(`DELETE FROM nodes`); err == nil {
		t.Error("the readers' connections can write")
	}
}

func TestCloseTwice(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "monitor.db"), nil)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "monitor.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	nodestoretest.BenchmarkCommit(b, s)
}

func BenchmarkReads(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "monitor.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	nodestoretest.BenchmarkReads(b, s, func() {})
}

func BenchmarkCommits(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "monitor.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	nodestoretest.Commits(b, s)
}
