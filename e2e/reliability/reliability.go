// Package reliability collects what tests of faults saw, for the table of docs/reliability.md. The table is written
// from these rows alone, never by hand.
package reliability

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Row is one fault: what must happen and what was seen.
type Row struct {
	Group  string `json:"group"`  // one of Groups
	Fault  string `json:"fault"`  // what was done to the monitor, for example "the owner is frozen (SIGSTOP)"
	Must   string `json:"must"`   // what must happen, with its limit
	Seen   string `json:"seen"`   // what happened, with figures: "taken over after 4.1 s (median), 4.6 s at most"
	Rounds int    `json:"rounds"` // how many times it was tried
	Test   string `json:"test"`   // that shows it; filled by Report
}

// Groups are the parts of the table, in order.
var Groups = []string{"Evaluator", "NATS", "Postgres", "Clocks", "Front door", "Telegram", "Senders", "Crash points", "Power loss", "Containers", "Everything at once"}

// DirVariable names the folder that rows are written to; without it Report only logs.
const DirVariable = "RELIABILITY_DIR"

// Report notes a row, unless the test has failed: a fault that was not survived has no place in the table.
func Report(t *testing.T, r Row) {
	t.Helper()
	r.Test = t.Name()
	if t.Failed() {
		return
	}
	t.Logf("%s: %s: %s (%d rounds)", r.Group, r.Fault, r.Seen, r.Rounds)
	dir := os.Getenv(DirVariable)
	if dir == "" {
		return
	}
	if err := write(dir, r); err != nil {
		t.Error(err)
	}
}

func write(dir string, r Row) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("reliability row: %w", err)
	}
	// A fault may be told in more words than a file's name can have.
	name := fmt.Sprintf("%s-%x.json", strings.ReplaceAll(r.Test, "/", "_"), sha256.Sum256([]byte(r.Fault)))
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		return fmt.Errorf("reliability row: %w", err)
	}
	return nil
}
