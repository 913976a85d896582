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

// The commit whose answer is swallowed is stored, one that is lost on its way is not; both clients see the connection
// break.
func TestSwallowAndLose(t *testing.T) {
	url := postgrestest.Shared(t).NewDatabase(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(context.WithoutCancel(t.Context()))
	if _, err := direct.Exec(t.Context(), `CREATE TABLE x (n int)`); err != nil {
		t.Fatal(err)
	}
	k, err := ToPostgres(net.JoinHostPort(config.Host, itoa(config.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	through := config.Copy()
	host, port, _ := net.SplitHostPort(k.Addr())
	through.Host, through.Port = host, atoi(t, port)
	for name, commit := range map[string]func(*pgx.Conn) error{
		"pipeline": func(c *pgx.Conn) error {
			var b pgx.Batch
			b.Queue(`INSERT INTO x VALUES ($1)`, 1)
			b.Queue(`INSERT INTO x VALUES ($1)`, 2)
			return c.SendBatch(t.Context(), &b).Close()
		},
		"COMMIT": func(c *pgx.Conn) error {
			return pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO x VALUES (1), (2)`)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := pgx.ConnectConfig(t.Context(), through)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.WithoutCancel(t.Context()))
			if err := commit(c); err != nil {
				t.Fatalf("healthy: %v", err)
			}
			done := k.Swallow()
			if err := commit(c); err == nil {
				t.Error("the answer arrived")
			}
			<-done
			var n int
			if err := direct.QueryRow(t.Context(), `WITH d AS (DELETE FROM x RETURNING 1) SELECT count(*) FROM d`).Scan(&n); err != nil || n != 4 {
				t.Errorf("%d rows, %v; want 4", n, err)
			}
			again, err := pgx.ConnectConfig(t.Context(), through)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close(context.WithoutCancel(t.Context()))
			lost := k.Lose()
			if err := commit(again); err == nil {
				t.Error("a lost commit succeeded")
			}
			<-lost
			if err := direct.QueryRow(t.Context(), `SELECT count(*) FROM x`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows of a lost commit, %v; want 0", n, err)
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
