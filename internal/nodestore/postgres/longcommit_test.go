package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// A commit may take longer than the lease lasts: one message may make very many nodes lost. Its owner goes on renewing
// meanwhile, and nobody takes over.
func TestALongCommitKeepsTheLease(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	url := postgrestest.Shared(t).NewDatabase(t)
	s, standby := newStore(t, url), newStore(t, url)
	l := acquire(t, s, "owner", ttl)
	writesTake(t, url, "nodes", 2500*time.Millisecond)
	nodes := make([]node.Node, 2*chunk+1) // three statements
	for i := range nodes {
		nodes[i] = node.Node{ID: fmt.Sprintf("node-%06d", i), State: node.Lost}
	}
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- s.Commit(t.Context(), l, position(0), heartbeats(1, nodes)) }()
	var slowest time.Duration
	tries := 0
	for committed := false; !committed; {
		select {
		case err := <-done:
			if committed = true; err != nil {
				t.Errorf("commit: %v", err)
			}
		case <-time.After(ttl / 8):
			asked := time.Now()
			if err := s.Renew(t.Context(), l, ttl); err != nil {
				t.Fatalf("renew, %v into the commit: %v", time.Since(began), err)
			}
			slowest = max(slowest, time.Since(asked))
			if _, err := standby.Acquire(t.Context(), 0, "standby", ttl, settings); !errors.Is(err, nodestore.ErrHeld) {
				t.Fatalf("a stand-by, %v into the commit: %v, want ErrHeld", time.Since(began), err)
			}
			tries++
		}
	}
	took := time.Since(began)
	if took < 3*ttl || tries < 10 {
		t.Errorf("the commit took %v, with %d tries of a stand-by: the test is too kind", took, tries)
	}
	if err := s.Renew(t.Context(), l, ttl); err != nil {
		t.Errorf("renew after the commit: %v", err)
	}
	t.Logf("a commit of %v with a lease of %v: %d renewals, the slowest %v", took.Round(time.Millisecond), ttl, tries, slowest.Round(time.Millisecond))
}

// writesTake makes every statement that inserts into the table take so long.
func writesTake(t *testing.T, url, table string, long time.Duration) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), fmt.Sprintf(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN PERFORM pg_sleep(%f); RETURN NULL; END$$;
		CREATE TRIGGER slow AFTER INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION slow()`, long.Seconds(), table)); err != nil {
		t.Fatal(err)
	}
}

// What happens to the partition while a commit writes is seen at its end: it leaves nothing then.
func TestFencedInTheMiddleOfACommit(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*testing.T, *store, nodestore.Lease){
		"another takes over": func(t *testing.T, s *store, _ nodestore.Lease) { acquire(t, s, "another", time.Hour) },
		"another commit of the same term moves the position": func(t *testing.T, s *store, l nodestore.Lease) {
			if err := s.Commit(t.Context(), l, position(0), heartbeats(7, nil)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := postgrestest.Shared(t).NewDatabase(t)
			s, other := newStore(t, url), newStore(t, url)
			l := acquire(t, s, "owner", time.Nanosecond)
			writesTake(t, url, "nodes", 2*time.Second)
			done := make(chan error, 1)
			go func() {
				done <- s.Commit(t.Context(), l, position(0), heartbeats(1, []node.Node{{ID: "n", State: node.Up}}))
			}()
			awaitSleeping(t, url)
			meanwhile(t, other, l)
			select {
			case err := <-done:
				t.Fatalf("the commit ended too early to be in its middle: %v", err)
			default:
			}
			if err := <-done; !errors.Is(err, nodestore.ErrFenced) {
				t.Errorf("commit: %v, want ErrFenced", err)
			}
			if nodes, err := s.Nodes(t.Context(), nodestore.NodeQuery{}); err != nil || len(nodes) != 0 {
				t.Errorf("it left %v, %v", nodes, err)
			}
		})
	}
}

// awaitSleeping waits until a statement of writesTake is under way.
func awaitSleeping(t *testing.T, url string) {
	t.Helper()
	c := connect(t, url)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var sleeps bool
		err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'PgSleep')`).Scan(&sleeps)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no commit is under way: %v", err)
		}
		if sleeps {
			return
		}
	}
}

// An owner that froze in the middle of a commit leaves rows of nodes locked. Who takes over can commit all the same,
// within the 10 s in which a dead owner is to be replaced.
func TestAFrozenCommitDoesNotKeepTheNodes(t *testing.T) {
	t.Parallel()
	url := postgrestest.Shared(t).NewDatabase(t)
	s := newStore(t, url)
	old := acquire(t, s, "frozen", time.Nanosecond)
	if err := s.Commit(t.Context(), old, position(0), heartbeats(1, []node.Node{{ID: "n", State: node.Up}})); err != nil {
		t.Fatal(err)
	}
	c := connect(t, url)
	if err := setUp(ordinary)(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	f := c.PgConn().Frontend()
	f.SendParse(&pgproto3.Parse{Query: `UPDATE nodes SET name = 'frozen'`})
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
	began := time.Now()
	l := acquire(t, s, "standby", time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := s.Commit(ctx, l, position(1), heartbeats(2, []node.Node{{ID: "n", State: node.Down}}))
		if err == nil {
			break
		}
		if !errors.Is(err, nodestore.ErrUnavailable) || ctx.Err() != nil {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("committed after %v, want within 10 s", took)
	}
	snapshot, err := nodestoretest.Load(t.Context(), s, l)
	if err != nil || len(snapshot.Nodes) != 1 || snapshot.Nodes[0].State != node.Down || snapshot.Nodes[0].Name != "" {
		t.Errorf("stored %+v, %v: want what the new owner wrote", snapshot.Nodes, err)
	}
}
