package postgres

import (
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// A server that turned read-only keeps its sessions. The first write that fails drops them all, so that the next one
// finds the writable server.
func TestSessionsLeaveAReadOnlyServer(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*store, nodestore.Lease) error{
		"a transaction": func(s *store, l nodestore.Lease) error { return s.Renew(t.Context(), l, time.Hour) },
		"a commit": func(s *store, l nodestore.Lease) error {
			return s.Commit(t.Context(), l, position(0), heartbeats(1, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			primary := postgrestest.Start(t)
			url := both(t, primary, primary) // creates the schema before the copy is made
			newStore(t, url)
			dir, err := os.MkdirTemp("", "failover-")
			if err != nil {
				t.Fatal(err)
			}
			replica, err := primary.StartReplica(dir, primary.Addr(), postgrestest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = replica.Stop(); _ = os.RemoveAll(dir) })
			s := newStore(t, both(t, primary, replica))
			l := acquire(t, s, "a", time.Hour)
			awaitTerm(t, newStore(t, replica.URL("postgres")), l.Term)
			admin := connect(t, primary.URL("postgres"))
			for _, statement := range []string{`ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`} {
				if _, err := admin.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if err := replica.Promote(); err != nil {
				t.Fatal(err)
			}
			// The setting reaches a session a moment later.
			for deadline := time.Now().Add(10 * time.Second); ; {
				err := write(s, nodestore.Lease{Term: -1}) // fenced, where writes are taken
				if nodestore.TroubleOf(err) == nodestore.ReadOnly {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the primary still takes writes: %v", err)
				}
			}
			if err := write(s, l); err != nil {
				t.Errorf("the write after the one that failed: %v", err)
			}
		})
	}
}

// both is the URL of two servers, of which the writable one is wanted.
func both(t *testing.T, a, b *postgrestest.Server) string {
	t.Helper()
	u, err := url.Parse(a.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = a.Addr() + "," + b.Addr()
	u.RawQuery = "sslmode=disable&target_session_attrs=read-write"
	return u.String()
}

func awaitTerm(t *testing.T, s *store, term int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got, _, err := s.Committed(t.Context(), 0); err == nil && got == term {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the replica does not catch up")
		}
	}
}
