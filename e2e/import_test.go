package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to make the database of an old server
)

// oldDatabase is what an old server left that was stopped half an hour ago. Its file is still open, in WAL mode.
func oldDatabase(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "old.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	seen := time.Now().Add(-30 * time.Minute).Unix()
	for _, q := range []string{
		"PRAGMA journal_mode=WAL",
		"CREATE TABLE nodes (node_id TEXT PRIMARY KEY, ip TEXT, last_seen INTEGER, last_state TEXT, last_computed TEXT, meta TEXT)",
		fmt.Sprintf(`INSERT INTO nodes VALUES ('old-goes-on', '192.0.2.1', %[1]d, 'UP', 'UP', 'rack 1'),
			('old-stays-away', '192.0.2.2', %[1]d, 'UP', 'UP', ''), ('old-dead', '', %[1]d - 864000, 'DOWN', 'DOWN', NULL)`, seen),
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestImportIntoARunningMonitor: `web import` beside the programs. Nobody is told of the nodes; one that reports goes on,
// one that does not is lost after a threshold, and one that was down for days is not told again.
func TestImportIntoARunningMonitor(t *testing.T) {
	c, s := fourPrograms(t)
	s.keepAlive(t, "steady") // heard all the time, so that silence says something
	s.told(t, 10*time.Second, "steady")
	importing := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(bin(t), "web"), append([]string{"import"}, args...)...)
		cmd.Env = c.Web.Env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("import: %v\n%s", err, out)
		}
		return string(out)
	}
	path := oldDatabase(t, t.TempDir())
	if out := importing("--dry-run", path); !strings.Contains(out, "would import 3 nodes") || len(s.rows(t)) != 1 {
		t.Fatalf("a dry run: %s", out)
	}
	if out := importing(path); out != "3 nodes: 2 up, 0 down, 1 lost\nimported 3 nodes; nobody was told\n" {
		t.Fatal(out)
	}
	s.keepAlive(t, "old-goes-on")
	if r := s.awaitRow(t, "old-dead", func(row) bool { return true }); r.State != "lost" || r.AgeSec < 864000 {
		t.Errorf("%+v", r)
	}
	if r := s.awaitRow(t, "old-goes-on", func(r row) bool { return r.AgeSec < 5 }); r.State != "up" {
		t.Errorf("%+v", r)
	}
	s.told(t, threshold+10*time.Second, "LOST", "old-stays-away")
	if out := importing(path); !strings.Contains(out, "3 known here already") || !strings.Contains(out, "imported 0 nodes") {
		t.Error(out)
	}
	for _, id := range []string{"old-dead", "old-goes-on"} {
		if m := s.find(id); len(m) != 0 {
			t.Errorf("%s was told:\n%s", id, show(m))
		}
	}
}
