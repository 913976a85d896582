package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// encoding is an argument that notices when it is encoded.
type encoding func() (driver.Value, error)

func (e encoding) Value() (driver.Value, error) { return e() }

// largeBatch writes a row, and then encodes an argument of its last statement but one.
func largeBatch(last encoding) *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO deleted_nodes (id, partition, at) VALUES ('n', 0, 1)`)
	for range large {
		b.Queue(`SELECT pg_advisory_xact_lock(4711)`)
	}
	b.Queue(`SELECT $1::text`, last)
	b.Queue(`INSERT INTO deleted_nodes (id, partition, at) VALUES ('m', 0, 1)`)
	return b
}

// locked waits until the first statements of largeBatch were executed.
func locked(t *testing.T, c *pgx.Conn) (yes bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&yes); err != nil {
			t.Error(err)
			return false
		}
	}
	return yes
}

// stored counts what largeBatch wrote.
func stored(t *testing.T, c *pgx.Conn) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), `SELECT count(*) FROM deleted_nodes`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Postgres works on the first statements of a large commit while the last are still to be encoded: one after the other,
// a hundred thousand nodes that are lost at once would take half a second longer.
func TestALargeCommitIsExecutedWhileItIsEncoded(t *testing.T) {
	t.Parallel()
	url := postgrestest.Shared(t).NewDatabase(t)
	s, c := newStore(t, url), connect(t, url)
	executed := false
	err := s.send(t.Context(), largeBatch(func() (driver.Value, error) {
		executed = locked(t, c)
		return "", nil
	}))
	if err != nil || !executed || stored(t, c) != 2 {
		t.Errorf("executed before the last was encoded: %v; %d rows of 2 stored; %v", executed, stored(t, c), err)
	}
}

// A large commit that is cut off after Postgres executed half of it leaves nothing, and the next one goes through.
func TestALargeCommitThatIsCutOffLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(t *testing.T, c *pgx.Conn, off context.CancelFunc) error{
		"it cannot be encoded": func(*testing.T, *pgx.Conn, context.CancelFunc) error { return errors.New("no such value") },
		"it is called off": func(_ *testing.T, _ *pgx.Conn, off context.CancelFunc) error {
			off()
			return nil
		},
		"the session is ended": func(t *testing.T, c *pgx.Conn, _ context.CancelFunc) error {
			_, err := c.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			if err != nil {
				t.Error(err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := postgrestest.Shared(t).NewDatabase(t)
			s, c := newStore(t, url), connect(t, url)
			ctx, off := context.WithCancel(t.Context())
			defer off()
			err := s.send(ctx, largeBatch(func() (driver.Value, error) {
				if !locked(t, c) {
					t.Error("nothing of it was executed: the test is too kind")
				}
				return "", cut(t, c, off)
			}))
			if err == nil {
				t.Error("no error")
			}
			if n := stored(t, c); n != 0 {
				t.Errorf("it left %d rows", n)
			}
			if err := s.send(t.Context(), largeBatch(func() (driver.Value, error) { return "", nil })); err != nil || stored(t, c) != 2 {
				t.Errorf("the next one stored %d rows of 2: %v", stored(t, c), err)
			}
		})
	}
}
