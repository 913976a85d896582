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
	for name, write := range map[string]func(*store, nodestore.Lease, uint64) error{
		"a transaction": func(s *store, l nodestore.Lease, _ uint64) error { return s.Renew(t.Context(), l, time.Hour) },
		"a commit": func(s *store, l nodestore.Lease, seq uint64) error {
			return s.Commit(t.Context(), l, position(seq-1), heartbeats(seq, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			primary := postgrestest.Start(t)
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
			admin := connect(t, primary.URL("postgres"))
			for _, statement := range []string{`ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`} {
				if _, err := admin.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			seq := uint64(1) // of the next commit; the setting reaches a session a moment later
			for deadline := time.Now().Add(10 * time.Second); ; seq++ {
				err := write(s, l, seq)
				if nodestore.TroubleOf(err) == nodestore.ReadOnly {
					break
				}
				if err != nil || time.Now().After(deadline) {
					t.Fatalf("the primary still takes writes: %v", err)
				}
			}
			awaitStreamed(t, primary, replica)
			if err := replica.Promote(); err != nil {
				t.Fatal(err)
			}
			if err := write(s, l, seq); err != nil {
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

// awaitStreamed waits until the replica has all that the primary wrote.
func awaitStreamed(t *testing.T, primary, replica *postgrestest.Server) {
	t.Helper()
	var written string
	if err := connect(t, primary.URL("postgres")).QueryRow(t.Context(), `SELECT pg_current_wal_lsn()::text`).Scan(&written); err != nil {
		t.Fatal(err)
	}
	c := connect(t, replica.URL("postgres"))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var there bool
		err := c.QueryRow(t.Context(), `SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, written).Scan(&there)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the replica does not catch up: %v", err)
		}
		if there {
			return
		}
	}
}
