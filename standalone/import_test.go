package main

import (
	"bytes"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // to make the database of an old server

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/standalone/stack"
)

func oldDatabase(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "old.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now().Unix()
	for _, q := range []string{
		"CREATE TABLE nodes (node_id TEXT PRIMARY KEY, ip TEXT, last_seen INTEGER, last_state TEXT, last_computed TEXT, meta TEXT)",
		"INSERT INTO nodes VALUES ('alpha', '192.0.2.1', $1 - 3600, 'UP', 'UP', 'rack 1'), ('bravo', '', $1 - 864000, 'DOWN', 'DOWN', NULL)",
	} {
		if _, err := db.Exec(q, now); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func importing(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"import"}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// TestImport into a data directory that does not exist yet, and then once more.
func TestImport(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("DATA_DIR", "data")
	old := oldDatabase(t, dir)
	if code, out, errs := importing(t, old, "--dry-run"); code != program.Succeeded || out != "2 nodes: 1 up, 0 down, 1 lost\nwould import 2 nodes; nothing was changed\n" {
		t.Fatalf("status %d\n%s%s", code, out, errs)
	}
	if code, out, errs := importing(t, old); code != program.Succeeded || out != "2 nodes: 1 up, 0 down, 1 lost\nimported 2 nodes; nobody was told\n" {
		t.Fatalf("status %d\n%s%s", code, out, errs)
	}
	if code, out, errs := importing(t, old); code != program.Succeeded || !strings.Contains(out, "2 known here already") || !strings.Contains(out, "imported 0 nodes") {
		t.Fatalf("status %d\n%s%s", code, out, errs)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join("data", "monitor.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := store.Nodes(t.Context(), nodestore.NodeQuery{})
	if err != nil || len(nodes) != 2 || nodes[0].State != node.Up || nodes[0].Meta != "rack 1" || nodes[1].State != node.Lost {
		t.Errorf("%+v, %v", nodes, err)
	}
	events, err := store.Events(t.Context(), "", 10)
	if err != nil || len(events) != 2 || !events[0].Quiet || !events[1].Quiet || events[0].By != "import" {
		t.Errorf("%+v, %v", events, err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if code, _, errs := importing(t, filepath.Join("data", "monitor.db")); code != program.Failed || !strings.Contains(errs, "not the database of a first Gensyn Monitor") {
		t.Errorf("our own database: status %d %s", code, errs)
	}
	if code, _, errs := importing(t); code != program.Misused || !strings.Contains(errs, "name one file") {
		t.Errorf("no file: status %d %s", code, errs)
	}
}

// TestImportIntoARunningMonitor is refused in words, and disturbs nothing.
func TestImportIntoARunningMonitor(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("DATA_DIR", "data")
	old := oldDatabase(t, dir)
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := stack.New(t.Context(), stack.Options{DataDir: "data", ListenAddr: "127.0.0.1:0", Log: zerolog.Nop(), Evaluator: EvaluatorConfig{ThresholdSec: 180, MaxNodes: 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if code, _, errs := importing(t, old); code != program.Failed || !strings.Contains(errs, "data") || !strings.Contains(errs, "stop it") {
		t.Errorf("status %d: %s", code, errs)
	}
}
