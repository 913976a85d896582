package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

var touched = regexp.MustCompile(`Buffers: shared (?:hit=(\d+))? ?(?:read=(\d+))?`)

// What the page asks costs what it shows, however many nodes there are: it reads no table through, and few blocks. The
// nodes of this fleet fill more than a thousand blocks, its events as many.
func TestReadsCostWhatTheyShow(t *testing.T) {
	const size = 5000
	s := newStore(t, postgrestest.Shared(t).NewDatabase(t))
	reads := nodestoretest.Reads(nodestoretest.Fleet(t, s, size))
	if _, err := s.pool.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
		t.Fatal(err)
	}
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
		blocks, plans := 0, ""
		for _, ask := range r.Asked() {
			plan := explain(t, s, ask)
			plans += plan + "\n"
			blocks += blocksOf(plan)
			for _, table := range []string{"nodes", "events"} {
				if strings.Contains(plan, "Seq Scan on "+table+" ") {
					t.Errorf("%s reads all of %s:\n%s", name, table, plan)
				}
			}
		}
		t.Logf("%-36s %5d blocks for %d rows", name, blocks, n)
		if limit := 25 * (n + 4); blocks > limit || blocks == 0 {
			t.Errorf("%s: %d blocks for %d rows, limit %d:\n%s", name, blocks, n, limit, plans)
		}
	}
}

// explain carries the query out and returns how.
func explain(t *testing.T, s *store, ask nodestoretest.Ask) string {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) "+ask.Query, ask.Args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", ask.Query, err)
	}
	return out.String()
}

// blocksOf is how many blocks the whole plan touched: those of its top node, which come first.
func blocksOf(plan string) int {
	m := touched.FindStringSubmatch(plan)
	if m == nil {
		return 0
	}
	hit, _ := strconv.Atoi(m[1])
	read, _ := strconv.Atoi(m[2])
	return hit + read
}
