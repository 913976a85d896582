package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
)

// wholeTable is how a plan says that a table, by its name or the letter that queries give it, is read without an index.
var wholeTable = regexp.MustCompile(`(?m)^SCAN (nodes|events|samples|acknowledgements|[nebpwxsah])$`)

// fewSorted is put in its order after the few nodes in question were found.
const fewSorted = "nodes of a rare state, last"

// What the page asks costs what it shows, however many nodes there are: it reads no table through.
func TestReadsCostWhatTheyShow(t *testing.T) {
	opened, err := Open(t.Context(), filepath.Join(t.TempDir(), "monitor.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s := opened.(*store)
	reads := nodestoretest.Reads(nodestoretest.Fleet(t, s, 1000))
	r := &nodestoretest.Recorder{Engine: s.Engine}
	s.Engine = r
	for name, read := range reads {
		if strings.HasPrefix(name, "scan:") {
			continue
		}
		n, err := read(t.Context(), s)
		if err != nil || n == 0 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		for _, ask := range r.Asked() {
			plan := explain(t, s, ask)
			if through := wholeTable.FindString(plan); through != "" {
				t.Errorf("%s reads a table through, %q:\n%s", name, through, plan)
			}
			sorts := strings.Contains(plan, "TEMP B-TREE FOR ORDER BY")
			if strings.Contains(ask.Query, "FROM nodes WHERE TRUE") && sorts != (name == fewSorted) {
				t.Errorf("%s sorts %v:\n%s", name, sorts, plan)
			}
		}
	}
}

// explain returns how a query is gone about.
func explain(t *testing.T, s *store, ask nodestoretest.Ask) string {
	t.Helper()
	rows, err := s.engine.reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+ask.Query, ask.Args...)
	if err != nil {
		t.Fatalf("%s: %v", ask.Query, err)
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			t.Fatal(err)
		}
		out.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
