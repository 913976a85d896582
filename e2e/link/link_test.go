package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

// echo answers with what it got.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, k *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", k.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends a byte and waits for its echo.
func say(c net.Conn, within time.Duration) error {
	if _, err := c.Write([]byte{'x'}); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func newLink(t *testing.T) *Link {
	k, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func TestLink(t *testing.T) {
	k := newLink(t)
	c := dial(t, k)
	if err := say(c, 5*time.Second); err != nil {
		t.Fatalf("healthy: %v", err)
	}
	k.Hold(true)
	if err := say(c, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("held: %v, want no answer", err)
	}
	k.Hold(false)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("after holding: %v", err)
	}
	k.Delay(150 * time.Millisecond)
	began := time.Now()
	if err := say(c, 5*time.Second); err != nil || time.Since(began) < 300*time.Millisecond {
		t.Errorf("delayed: %v after %v, want 300 ms", err, time.Since(began))
	}
	k.Delay(0)
	k.Cut()
	if err := say(c, 5*time.Second); err == nil {
		t.Error("cut, yet it answers")
	}
	k.Refuse(true)
	if c, err := net.Dial("tcp", k.Addr()); err == nil { // the reset may be quicker than the greeting
		if err := say(c, 5*time.Second); err == nil {
			t.Error("refused, yet it answers")
		}
		c.Close()
	}
	k.Heal()
	if err := say(dial(t, k), 5*time.Second); err != nil {
		t.Errorf("healed: %v", err)
	}
	k.Aim(echo(t))
	if err := say(dial(t, k), 5*time.Second); err != nil {
		t.Errorf("aimed at another: %v", err)
	}
}

// database is a link to a database with one empty table, what connects through it, and a connection beside it.
func database(t *testing.T) (k *Link, through *pgx.ConnConfig, direct *pgx.Conn) {
	t.Helper()
	config, err := pgx.ParseConfig(postgrestest.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	direct = connect(t, config)
	if _, err := direct.Exec(t.Context(), `CREATE TABLE x (n int)`); err != nil {
		t.Fatal(err)
	}
	if k, err = ToPostgres(net.JoinHostPort(config.Host, itoa(config.Port))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	through = config.Copy()
	host, port, _ := net.SplitHostPort(k.Addr())
	through.Host, through.Port = host, atoi(t, port)
	return k, through, direct
}

func connect(t *testing.T, config *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func pipeline(ctx context.Context, c *pgx.Conn) error {
	var b pgx.Batch
	b.Queue(`INSERT INTO x VALUES ($1)`, 1)
	b.Queue(`INSERT INTO x VALUES ($1)`, 2)
	return c.SendBatch(ctx, &b).Close()
}

// rows takes away what is committed, and counts it.
func rows(t *testing.T, c *pgx.Conn) (n int) {
	t.Helper()
	err := c.QueryRow(t.Context(), `WITH d AS (DELETE FROM x RETURNING 1) SELECT count(*) FROM d`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A commit that is halved is carried out and not stored, until the rest of it arrives.
func TestHalve(t *testing.T) {
	k, through, direct := database(t)
	c := connect(t, through)
	if err := pipeline(t.Context(), c); err != nil || rows(t, direct) != 2 {
		t.Fatalf("healthy: %v", err)
	}
	halved, done := k.Halve(), make(chan error, 1)
	go func() { done <- pipeline(t.Context(), c) }()
	<-halved
	for waits := false; !waits; { // for its client, with both rows inserted
		err := direct.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE wait_event = 'ClientRead' AND backend_xid IS NOT NULL AND datname = current_database())`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := rows(t, direct); n != 0 {
		t.Errorf("%d rows are stored already", n)
	}
	select {
	case err := <-done:
		t.Errorf("answered: %v", err)
	default:
	}
	k.Hold(false)
	if err := <-done; err != nil || rows(t, direct) != 2 {
		t.Errorf("the rest arrived: %v, or not both rows are stored", err)
	}
	if err := pipeline(t.Context(), c); err != nil {
		t.Errorf("another: %v", err)
	}
}

// The commit whose answer is swallowed is stored, one that is lost on its way is not; both clients see the connection
// break.
func TestSwallowAndLose(t *testing.T) {
	k, through, direct := database(t)
	for name, commit := range map[string]func(*pgx.Conn) error{
		"pipeline": func(c *pgx.Conn) error { return pipeline(t.Context(), c) },
		"COMMIT": func(c *pgx.Conn) error {
			return pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO x VALUES (1), (2)`)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, through)
			if err := commit(c); err != nil {
				t.Fatalf("healthy: %v", err)
			}
			done := k.Swallow()
			if err := commit(c); err == nil {
				t.Error("the answer arrived")
			}
			<-done
			if n := rows(t, direct); n != 4 {
				t.Errorf("%d rows, want 4", n)
			}
			again := connect(t, through)
			lost := k.Lose()
			if err := commit(again); err == nil {
				t.Error("a lost commit succeeded")
			}
			<-lost
			if n := rows(t, direct); n != 0 {
				t.Errorf("%d rows of a lost commit, want 0", n)
			}
		})
	}
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

func atoi(t *testing.T, s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}
