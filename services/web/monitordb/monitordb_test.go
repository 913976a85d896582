package monitordb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) int64 { return now.Add(-d).Unix() }

// The tables of the first server: as its first version made them, and with the columns that later ones added.
const (
	firstSchema = `CREATE TABLE nodes (node_id TEXT PRIMARY KEY, ip TEXT, last_seen INTEGER, last_state TEXT, last_computed TEXT, meta TEXT)`
	laterSchema = `ALTER TABLE nodes ADD COLUMN last_reported TEXT DEFAULT 'UP'; ALTER TABLE nodes ADD COLUMN gswarm_eoa TEXT;
		ALTER TABLE nodes ADD COLUMN gswarm_peer_ids TEXT; ALTER TABLE nodes ADD COLUMN gswarm_alert INTEGER DEFAULT 1`
)

// create makes an old database and leaves it open, as a server that runs does.
func create(t *testing.T, path string, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func mustRead(t *testing.T, path string) Database {
	t.Helper()
	d, err := Read(t.Context(), path, now)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRowsBecomeWhatPeopleKnow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor.db")
	db := create(t, path, firstSchema, laterSchema)
	insert := func(id, ip, seen, state, meta, reported any) {
		exec(t, db, "INSERT INTO nodes (node_id, ip, last_seen, last_state, last_computed, meta, last_reported) VALUES (?,?,?,?,'UP',?,?)", id, ip, seen, state, meta, reported)
	}
	insert("a-up", "192.0.2.7", ago(40*time.Second), "UP", "rack 4", "UP")
	insert("b-server-was-off", "2001:DB8::7", ago(5*time.Hour), "UP", nil, "UP")
	insert("c-told-down-long-ago", nil, ago(20*24*time.Hour), "DOWN", "", "UP")
	insert("d-says-down", "::ffff:192.0.2.8", ago(time.Hour), "DOWN", "reason=no_p2pd", "down")
	insert("e-not-judged-yet", "", ago(30*time.Second), "DOWN", "x", "UP")
	insert("f-page-as-ip", "<html>busy</html>", float64(ago(time.Minute))+0.5, "UP", "two\nlines\x00", nil)
	insert(int64(42), "192.0.2.9", ago(time.Minute), "UP", "number as id", "UP")
	insert("  ", "", ago(time.Minute), "UP", "", "UP")
	insert("ctl\x1b[31m", "", ago(time.Minute), "UP", "", "UP")
	insert(strings.Repeat("я", 129), "", ago(time.Minute), "UP", "", "UP")
	insert("never", "", nil, "UP", "", "UP")
	insert("words", "", "yesterday", "UP", "", "UP")
	insert("far", "", int64(1)<<60, "UP", "", "UP")

	d := mustRead(t, path)
	want := []contract.Imported{
		{NodeID: "42", IP: "192.0.2.9", Meta: "number as id", State: "up", HeardUnixMs: ago(time.Minute) * 1000},
		{NodeID: "a-up", IP: "192.0.2.7", Meta: "rack 4", State: "up", HeardUnixMs: ago(40*time.Second) * 1000},
		{NodeID: "b-server-was-off", IP: "2001:db8::7", State: "up", HeardUnixMs: ago(5*time.Hour) * 1000},
		{NodeID: "c-told-down-long-ago", State: "lost", HeardUnixMs: ago(20*24*time.Hour) * 1000},
		{NodeID: "d-says-down", IP: "192.0.2.8", Meta: "reason=no_p2pd", State: "down", HeardUnixMs: ago(time.Hour) * 1000},
		{NodeID: "e-not-judged-yet", Meta: "x", State: "up", HeardUnixMs: ago(30*time.Second) * 1000},
		{NodeID: "f-page-as-ip", Meta: "two lines", State: "up", HeardUnixMs: ago(time.Minute) * 1000},
	}
	if !reflect.DeepEqual(d.Nodes, want) {
		t.Errorf("got\n%+v\nwant\n%+v", d.Nodes, want)
	}
	why := map[string]string{}
	for _, s := range d.Skipped {
		why[s.NodeID] = s.Why
	}
	if len(d.Skipped) != 6 || why[""] != "node_id is empty" || why["ctl[31m"] != "node_id holds control characters" ||
		why[strings.Repeat("я", 64)] != "node_id is longer than 128 characters" || why["never"] != "last_seen is no time" ||
		why["words"] != "last_seen is no time" || why["far"] != "last_seen is no time" {
		t.Errorf("skipped %+v", d.Skipped)
	}
}

func TestTheFirstSchemaIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor.db")
	db := create(t, path, firstSchema)
	exec(t, db, "INSERT INTO nodes VALUES ('a','',?,'DOWN','DOWN',NULL)", ago(time.Hour))
	if d := mustRead(t, path); len(d.Nodes) != 1 || d.Nodes[0].State != "lost" {
		t.Errorf("%+v", d)
	}
}

// files are the names and contents in a directory, but for -shm, in which SQLite keeps who reads.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if out[e.Name()] = string(data); strings.HasSuffix(e.Name(), "-shm") {
			out[e.Name()] = "shared memory"
		}
	}
	return out
}

// copyDir is a machine that was cut off, or a backup of all files.
func copyDir(t *testing.T, from string, names ...string) string {
	t.Helper()
	to := t.TempDir()
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join(from, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, n), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

const insertOne = "INSERT INTO nodes (node_id, last_seen, last_state) VALUES (?, 1700000000, 'UP')"

// TestReadingChangesNothing, in whatever way the old server left its database, or uses it.
func TestReadingChangesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T) (dir string)
		want int
	}{
		{"closed", func(t *testing.T) string {
			dir := t.TempDir()
			db := create(t, filepath.Join(dir, "monitor.db"), firstSchema)
			exec(t, db, insertOne, "a")
			_ = db.Close()
			return dir
		}, 1},
		{"in the middle of a write", func(t *testing.T) string {
			dir := t.TempDir()
			db := create(t, filepath.Join(dir, "monitor.db"), firstSchema)
			exec(t, db, insertOne, "a")
			exec(t, db, "BEGIN IMMEDIATE")
			exec(t, db, insertOne, "b")
			t.Cleanup(func() { _, _ = db.Exec("ROLLBACK") })
			return dir
		}, 1},
		{"WAL, running", func(t *testing.T) string {
			dir := t.TempDir()
			db := create(t, filepath.Join(dir, "monitor.db"), "PRAGMA journal_mode=WAL", firstSchema)
			exec(t, db, insertOne, "a")
			exec(t, db, insertOne, "b")
			return dir
		}, 2},
		{"WAL, closed", func(t *testing.T) string {
			dir := t.TempDir()
			db := create(t, filepath.Join(dir, "monitor.db"), "PRAGMA journal_mode=WAL", firstSchema)
			exec(t, db, insertOne, "a")
			_ = db.Close()
			return dir
		}, 1},
		{"WAL, cut off", func(t *testing.T) string {
			dir := t.TempDir()
			db := create(t, filepath.Join(dir, "monitor.db"), "PRAGMA journal_mode=WAL", firstSchema)
			exec(t, db, insertOne, "a")
			exec(t, db, insertOne, "b")
			return copyDir(t, dir, "monitor.db", "monitor.db-wal")
		}, 2},
		{"cut off in the middle of a write", func(t *testing.T) string {
			dir := t.TempDir()
			db := create(t, filepath.Join(dir, "monitor.db"), firstSchema, "PRAGMA cache_size=2", "PRAGMA cache_spill=1", "BEGIN")
			for i := range 1000 {
				exec(t, db, insertOne, strings.Repeat("n", 50)+time.Duration(i).String())
			}
			exec(t, db, "COMMIT")
			exec(t, db, "BEGIN IMMEDIATE")
			// More than the cache holds: some of it is in the file already.
			exec(t, db, "UPDATE nodes SET node_id = 'torn' || substr(node_id, 5)")
			t.Cleanup(func() { _, _ = db.Exec("ROLLBACK") })
			return copyDir(t, dir, "monitor.db", "monitor.db-journal")
		}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.make(t)
			before := files(t, dir)
			d := mustRead(t, filepath.Join(dir, "monitor.db"))
			if len(d.Nodes) != tt.want {
				t.Errorf("%d nodes, want %d", len(d.Nodes), tt.want)
			}
			for _, n := range d.Nodes {
				if strings.HasPrefix(n.NodeID, "torn") {
					t.Fatalf("%s was not committed", n.NodeID)
				}
			}
			if after := files(t, dir); !reflect.DeepEqual(before, after) {
				t.Errorf("the files changed: %d before, %d after", len(before), len(after))
			}
		})
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours := filepath.Join(dir, "ours.db")
	_ = create(t, ours, "CREATE TABLE nodes (id TEXT PRIMARY KEY, state TEXT)").Close()
	empty := filepath.Join(dir, "tables.db")
	_ = create(t, empty, "CREATE TABLE other (x)").Close()
	for _, path := range []string{write("text", strings.Repeat("text ", 100)), write("empty", ""), ours, empty} {
		if _, err := Read(t.Context(), path, now); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Read(t.Context(), filepath.Join(dir, "missing"), now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing file was made")
	}
}

// TestDamageIsFound, and not taken for nodes that are not there, where the file lies and in a copy.
func TestDamageIsFound(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		path := filepath.Join(t.TempDir(), "monitor.db")
		db := create(t, path, "PRAGMA journal_mode="+mode, firstSchema)
		for i := range 300 {
			exec(t, db, insertOne, strings.Repeat("n", 100)+time.Duration(i).String())
		}
		_ = db.Close()
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damage := func(name string, do func(page []byte)) {
			data := bytes.Clone(whole)
			for at := 4096; at < len(data); at += 4096 {
				if data[at] == 13 { // a leaf of a table
					do(data[at : at+4096])
					break
				}
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if d, err := Read(t.Context(), path, now); err == nil {
				t.Errorf("%s, %s: read %d nodes and skipped %d of 300", mode, name, len(d.Nodes), len(d.Skipped))
			}
		}
		damage("overwritten", func(page []byte) { copy(page, bytes.Repeat([]byte{0xA5}, len(page))) })
		if mode == "WAL" {
			damage("a page that says it is empty", func(page []byte) { clear(page[3:5]) })
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor.db")
	create(t, path, firstSchema)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, path, now); err == nil {
		t.Error("no error")
	}
}
