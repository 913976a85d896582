package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// all calls every method once.
func all(ctx context.Context, s nodestore.Store, l nodestore.Lease, from node.Position) map[string]error {
	chat := nodestore.ChatLease{Chat: "chat", Owner: "a", Term: 1}
	_, acquire := s.Acquire(ctx, 0, "a", time.Hour, settings)
	_, load := s.Load(ctx, l, func(*node.Node) {})
	_, _, committed := s.Committed(ctx, 0)
	_, record := s.Record(ctx, l, node.Event{})
	_, prune := s.Prune(ctx, l, time.Hour, 1)
	_, nodes := s.Nodes(ctx, nodestore.NodeQuery{})
	_, events := s.Events(ctx, "", 1)
	_, status := s.Status(ctx, 0)
	_, acquireChat := s.AcquireChat(ctx, "chat", "a", time.Hour, time.Hour)
	_, collect := s.Collect(ctx, chat, 1, nodestore.Chooser{})
	_, frozen := s.Frozen(ctx, chat)
	_, waiting := s.Waiting(ctx, chat, 1)
	_, freeze := s.Freeze(ctx, chat, nodestore.Draft{Text: "text"})
	return map[string]error{
		"acquire": acquire, "renew": s.Renew(ctx, l, time.Hour), "release": s.Release(ctx, l), "load": load,
		"commit": s.Commit(ctx, l, from, heartbeats(from.Seq+1, nil)), "record": record,
		"committed": committed, "prune": prune, "nodes": nodes, "events": events, "status": status, "ping": s.Ping(ctx),
		"acquire chat": acquireChat, "renew chat": s.RenewChat(ctx, chat, time.Hour), "release chat": s.ReleaseChat(ctx, chat),
		"collect": collect, "frozen": frozen, "waiting": waiting, "freeze": freeze,
		"told": s.Told(ctx, chat, 1, 1), "failed": s.Failed(ctx, chat, 1, "why"),
	}
}

// A database that is away makes every call fail with ErrUnavailable, and none is needed to find it again.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	s := newStore(t, server.NewDatabase(t))
	l := acquire(t, s, "a", time.Hour)
	if err := s.Commit(t.Context(), l, position(0), heartbeats(1, []node.Node{{ID: "n"}})); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func() error{"stopped": server.Stop, "killed": server.Kill} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		for call, err := range all(t.Context(), s, l, position(1)) {
			if !errors.Is(err, nodestore.ErrUnavailable) {
				t.Errorf("%s: %s: %v, want ErrUnavailable", name, call, err)
			}
		}
		if _, err := Open(t.Context(), server.URL("postgres"), Options{}); !errors.Is(err, nodestore.ErrUnavailable) {
			t.Errorf("%s: open: %v, want ErrUnavailable", name, err)
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for s.Ping(t.Context()) != nil && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if _, p, err := s.Committed(t.Context(), 0); err != nil || p != position(1) {
			t.Errorf("%s and back: at %+v, %v, want %+v", name, p, err, position(1))
		}
	}
}

// A standby answers reads and refuses writes, until it is promoted.
func TestReadOnly(t *testing.T) {
	url := postgrestest.Shared(t).NewDatabase(t)
	l := acquire(t, newStore(t, url), "a", time.Hour)
	c := connect(t, url)
	var name string
	if err := c.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), fmt.Sprintf(`ALTER DATABASE %s SET default_transaction_read_only = on`, name)); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, url)
	if err := s.Renew(t.Context(), l, time.Hour); !errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("renew: %v, want ErrUnavailable", err)
	}
	if err := s.Commit(t.Context(), l, position(0), heartbeats(1, nil)); !errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("commit: %v, want ErrUnavailable", err)
	}
	if _, err := s.Status(t.Context(), 0); err != nil {
		t.Errorf("status: %v", err)
	}
}

// A call has a limit, by its context and by the database, and says that it may be repeated.
func TestSlowDatabase(t *testing.T) {
	t.Parallel()
	s := newStore(t, postgrestest.Shared(t).NewDatabase(t))
	l := acquire(t, s, "a", time.Hour)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `SET LOCAL idle_in_transaction_session_timeout = '1min'; UPDATE partitions SET stamp = stamp`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	commit := func(ctx context.Context) error { return s.Commit(ctx, l, position(0), heartbeats(1, nil)) }
	if err := commit(ctx); !errors.Is(err, nodestore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("by the context: %v, want ErrUnavailable", err)
	}
	if err := commit(t.Context()); !errors.Is(err, nodestore.ErrUnavailable) || !lockTimedOut(err) {
		t.Errorf("by lock_timeout: %v, want ErrUnavailable", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := commit(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("called off: %v, want Canceled and not ErrUnavailable", err)
	}
}

// What cannot pass by itself is no ErrUnavailable: the start must stop and say so.
func TestWrongPassword(t *testing.T) {
	s := postgrestest.Shared(t)
	config, err := parse(s.URL("postgres"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("postgres://%s:wrong@%s:%d/postgres", config.ConnConfig.User, config.ConnConfig.Host, config.ConnConfig.Port)
	if _, err := Open(t.Context(), url, Options{}); err == nil || errors.Is(err, nodestore.ErrUnavailable) {
		t.Errorf("error %v, want one that is not ErrUnavailable", err)
	}
}
