package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestConformance(t *testing.T) { conforms(t, func(*store) {}) }

// The contract holds as well for commits that are sent while they are being encoded.
func TestConformanceOfLargeCommits(t *testing.T) { conforms(t, func(s *store) { s.large = 0 }) }

func conforms(t *testing.T, with func(*store)) {
	databases := emptied{t: t}
	nodestoretest.Run(t, func(t *testing.T) nodestoretest.Opener {
		url := databases.take(t)
		return func(t *testing.T) nodestore.Store {
			t.Helper()
			s, err := Open(t.Context(), url, Options{MaxConns: 4})
			if err != nil {
				t.Fatal(err)
			}
			with(s.(*store))
			return s
		}
	})
}

// emptied hands out databases, and those that a check has done with once more: emptying one takes a tenth of the
// time of making one.
type emptied struct {
	t    *testing.T // whose end is the databases' end
	mu   sync.Mutex
	free []string
}

func (e *emptied) take(t *testing.T) (url string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.free); n > 0 {
		url, e.free = e.free[n-1], e.free[:n-1]
	} else {
		url = postgrestest.Shared(e.t).NewDatabase(e.t)
	}
	t.Cleanup(func() { e.giveBack(t, url) })
	return url
}

func (e *emptied) giveBack(t *testing.T, url string) {
	c, err := pgx.Connect(context.Background(), url)
	if err == nil {
		defer c.Close(context.Background())
		_, err = c.Exec(context.Background(), `DO $$ BEGIN EXECUTE (
			SELECT 'TRUNCATE ' || string_agg(tablename, ', ') || ' RESTART IDENTITY' FROM pg_tables
			WHERE schemaname = 'public' AND tablename <> 'schema_version'); END $$`)
	}
	if err != nil {
		t.Errorf("empty a database: %v", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = append(e.free, url)
}

var settings = node.Settings{Threshold: time.Minute, MaxNodes: 10}

func newStore(t *testing.T, url string) *store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*store)
}

func acquire(t *testing.T, s *store, owner string, ttl time.Duration) nodestore.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), 0, owner, ttl, settings)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func position(seq uint64) node.Position { return node.Position{Epoch: 1, Seq: seq} }

// heartbeats is a commit of the message seq in which nodes only were heard.
func heartbeats(seq uint64, nodes []node.Node) node.Changes {
	for i := range nodes {
		nodes[i].Heard, nodes[i].HeardW, nodes[i].Seq = node.Stamp(seq), time.Duration(seq), int64(seq)
	}
	return node.Changes{Clock: node.Clock{Position: position(seq), Settings: settings}, Nodes: nodes}
}

// A heartbeat must not touch an index: then Postgres updates a node in place (a HOT update), and the table does not
// grow. One commit carries a share of the nodes, as it does when each reports once a minute.
func TestHeartbeatsAreHOTUpdates(t *testing.T) {
	const size, share, commits = 2000, 20, 60
	url := postgrestest.Shared(t).NewDatabase(t)
	s := newStore(t, url)
	l := acquire(t, s, "a", time.Hour)
	all := make([]node.Node, size)
	for i := range all {
		all[i] = node.Node{ID: fmt.Sprintf("node-%04d", i), State: node.Up, IP: "192.0.2.1", Meta: "rack 7", Metrics: `{"load":1}`}
	}
	commit := func(seq uint64, nodes []node.Node) {
		t.Helper()
		c := heartbeats(seq, nodes)
		if seq%2 == 0 { // that say nothing new
			c.Heard, c.Nodes = nodestoretest.Heard(c.Nodes), nil
		}
		if err := s.Commit(t.Context(), l, position(seq-1), c); err != nil {
			t.Fatal(err)
		}
	}
	commit(1, all)
	for i := range commits {
		var some []node.Node
		for j := i % share; j < size; j += share {
			some = append(some, all[j])
		}
		commit(uint64(i+2), some)
	}
	s.Close() // sessions report their counts when they end
	want := int64(commits * size / share)
	if updates, hot := updateCounts(t, url, want); updates != want || hot != updates {
		t.Errorf("%d updates, %d of them HOT, want %d of each", updates, hot, want)
	}
}

// updateCounts waits until Postgres has counted want updates of nodes.
func updateCounts(t *testing.T, url string, want int64) (updates, hot int64) {
	t.Helper()
	c := connect(t, url)
	deadline := time.Now().Add(20 * time.Second)
	for updates < want && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		if err := c.QueryRow(t.Context(), `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
			WHERE relname = 'nodes'`).Scan(&updates, &hot); err != nil {
			t.Fatal(err)
		}
	}
	return updates, hot
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// A commit that fails halfway leaves nothing behind, though it is one pipeline without BEGIN.
func TestCommitIsAtomic(t *testing.T) {
	url := postgrestest.Shared(t).NewDatabase(t)
	s := newStore(t, url)
	l := acquire(t, s, "a", time.Hour)
	if _, err := connect(t, url).Exec(t.Context(), `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN RAISE 'no'; END$$; CREATE TRIGGER no BEFORE INSERT ON events EXECUTE FUNCTION no()`); err != nil {
		t.Fatal(err)
	}
	c := heartbeats(1, []node.Node{{ID: "n"}})
	c.Deleted = map[string]node.Stamp{"d": 1}
	c.Events = []node.Event{{ID: node.EventID{Epoch: 1, Seq: 1}}}
	for range 2 { // also once the statements are prepared
		err := s.Commit(t.Context(), l, position(0), c)
		if err == nil || errors.Is(err, nodestore.ErrFenced) || errors.Is(err, nodestore.ErrUnavailable) {
			t.Errorf("error %v, want the trigger's", err)
		}
		snapshot, err := nodestoretest.Load(t.Context(), s, l)
		if err != nil || len(snapshot.Nodes)+len(snapshot.Deleted) != 0 || snapshot.Clock.Position != position(0) {
			t.Errorf("left behind: %+v, %v", snapshot, err)
		}
	}
}

func TestSettingsOfSessions(t *testing.T) {
	s := newStore(t, postgrestest.Shared(t).NewDatabase(t))
	for name, want := range map[string]string{
		"idle_in_transaction_session_timeout": "3s", "lock_timeout": "3s", "statement_timeout": "10s",
		"application_name": applicationName, "tcp_keepalives_idle": "10",
	} {
		var got string
		if err := s.pool.QueryRow(t.Context(), "SHOW "+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
}

// Whatever the database's locale is, ids are ordered by their bytes.
func TestIdsAreOrderedByBytes(t *testing.T) {
	s := newStore(t, postgrestest.Shared(t).NewDatabase(t))
	for _, column := range []string{"nodes.id", "deleted_nodes.id", "events.id", "events.node_id", "chats.chat"} {
		table, name, _ := strings.Cut(column, ".")
		var collation string
		if err := s.pool.QueryRow(t.Context(), `SELECT collation_name FROM information_schema.columns
			WHERE table_name = $1 AND column_name = $2 AND collation_name IS NOT NULL`, table, name).Scan(&collation); err != nil || collation != "C" {
			t.Errorf("%s has collation %q, %v, want C", column, collation, err)
		}
	}
}

// A process that froze between two commands keeps the lease's row for 3 s, and no longer.
func TestIdleTransactionDoesNotKeepTheLease(t *testing.T) {
	t.Parallel()
	s := newStore(t, postgrestest.Shared(t).NewDatabase(t))
	acquire(t, s, "frozen", time.Nanosecond)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `UPDATE partitions SET stamp = stamp`); err != nil {
		t.Fatal(err)
	}
	takeOver(t, s)
}

// takeOver takes the lease as a standby does: trying again while the database says it may be possible later.
func takeOver(t *testing.T, s *store) {
	t.Helper()
	began := time.Now()
	for {
		_, err := s.Acquire(t.Context(), 0, "standby", time.Hour, settings)
		if err == nil {
			return
		}
		if !errors.Is(err, nodestore.ErrUnavailable) || time.Since(began) > 20*time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
}

// A process that froze while it sent a commit leaves a pipeline that stopped halfway. Postgres would wait for the
// rest for ever, holding the lease's row.
func TestFrozenPipelineDoesNotKeepTheLease(t *testing.T) {
	t.Parallel()
	url := postgrestest.Shared(t).NewDatabase(t)
	s := newStore(t, url)
	acquire(t, s, "frozen", time.Nanosecond)
	c := connect(t, url)
	if err := setUp(ordinary)(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	f := c.PgConn().Frontend()
	f.SendParse(&pgproto3.Parse{Query: `UPDATE partitions SET stamp = stamp`})
	f.SendBind(&pgproto3.Bind{})
	f.SendExecute(&pgproto3.Execute{})
	f.Send(&pgproto3.Flush{}) // and no Sync
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; { // it has the row
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		_, done = m.(*pgproto3.CommandComplete)
	}
	takeOver(t, s)
}

func TestSeveralProgramsMayStartTogether(t *testing.T) {
	url := postgrestest.Shared(t).NewDatabase(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), url, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
}

func TestNewerSchemaIsRefused(t *testing.T) {
	url := postgrestest.Shared(t).NewDatabase(t)
	newStore(t, url)
	if _, err := connect(t, url).Exec(t.Context(), `INSERT INTO schema_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{}); !errors.Is(err, nodestore.ErrNewerSchema) || errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("error %v, want ErrNewerSchema", err)
	}
}

func TestErrorsHideTheURL(t *testing.T) {
	for _, url := range []string{
		"postgres://user:secret#more@127.0.0.1:1/db", "postgres://user:secret/more@127.0.0.1:1/db",
		"postgres://user:secret@127.0.0.1:notaport/db", "postgres://user:secret@127.0.0.1:1/db",
		"host=127.0.0.1 port=x password=secret", "host=127.0.0.1 port=1 password=secret", "%secret",
	} {
		if _, err := Open(t.Context(), url, Options{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want one without the password", url, err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.Context(), postgrestest.Shared(b).NewDatabase(b), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	nodestoretest.BenchmarkCommit(b, s)
}

func BenchmarkReads(b *testing.B) {
	url := postgrestest.Shared(b).NewDatabase(b)
	s, err := Open(b.Context(), url, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	nodestoretest.BenchmarkReads(b, s, func() {
		if _, err := s.(*store).pool.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkCommits(b *testing.B) {
	url := postgrestest.Shared(b).NewDatabase(b)
	s, err := Open(b.Context(), url, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	nodestoretest.Commits(b, s)
}
