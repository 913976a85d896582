package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

var touched = regexp.MustCompile(`Buffers: shared (?:hit=(\d+))? ?(?:read=(\d+))?`)

// What the page asks costs what it shows, however many nodes there are: it reads no table through, and few blocks. The
// nodes of this fleet fill more than a thousand blocks, its events as many.
func TestReadsCostWhatTheyShow(t *testing.T) {
	s, ids := fleet(t)
	reads := nodestoretest.Reads(ids)
	analyze(t, s)
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
		wantCheap(t, s, name, r.Asked(), 25*(n+4))
	}
}

// A chat that was told everything looks for more every two seconds: it reads no event for that.
func TestLookingForNewsIsCheap(t *testing.T) {
	s, _ := fleet(t)
	lease, err := s.AcquireChat(t.Context(), "1", "me", time.Hour, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	skip := func(_ []nodestore.Silence, events []nodestore.Candidate) []nodestore.Choice {
		return slices.Repeat([]nodestore.Choice{{Skip: true}}, len(events))
	}
	look := func() int {
		n, err := s.Collect(t.Context(), lease, 10_000, nodestore.Chooser{Choose: skip})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for total := 0; ; {
		n := look()
		if total += n; n == 0 && total < fleetSize {
			t.Fatalf("there are %d events", total)
		}
		if n == 0 {
			break
		}
	}
	analyze(t, s)
	r := &nodestoretest.Recorder{Engine: s.Engine}
	s.Engine = r
	if n := look(); n != 0 {
		t.Fatalf("%d more", n)
	}
	wantCheap(t, s, "looking for news", r.Asked(), 10)
}

const fleetSize = 5000

func fleet(t *testing.T) (s *store, ids []string) {
	t.Helper()
	s = newStore(t, postgrestest.Shared(t).NewDatabase(t))
	return s, nodestoretest.Fleet(t, s, fleetSize)
}

func analyze(t *testing.T, s *store) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

// wantCheap checks that queries read neither nodes nor events through, and no more than so many blocks: with a plan for what
// they ask, and with one for anything, which Postgres may turn to from the sixth time on.
func wantCheap(t *testing.T, s *store, name string, asks []nodestoretest.Ask, limit int) {
	t.Helper()
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		blocks, plans := 0, ""
		for _, ask := range asks {
			plan := explain(t, s, ask, mode)
			plans += plan + "\n"
			blocks += blocksOf(plan)
			for _, table := range []string{"nodes", "events"} {
				if strings.Contains(plan, "Seq Scan on "+table+" ") {
					t.Errorf("%s (%s) reads all of %s:\n%s", name, mode, table, plan)
				}
			}
		}
		t.Logf("%-36s %-18s %5d blocks, at most %d", name, mode, blocks, limit)
		if blocks > limit || blocks == 0 {
			t.Errorf("%s (%s): %d blocks, limit %d:\n%s", name, mode, blocks, limit, plans)
		}
	}
}

// explain carries the query out and returns how. EXPLAIN alone would always plan for the very arguments.
func explain(t *testing.T, s *store, ask nodestoretest.Ask, mode string) string {
	t.Helper()
	c, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	do := func(sql string) {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	do("SET plan_cache_mode = " + mode)
	do("PREPARE asked AS " + ask.Query)
	defer do("DEALLOCATE asked")
	execute := "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) EXECUTE asked"
	if n := len(ask.Args); n > 0 {
		marks := make([]string, n)
		for i := range marks {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		execute += "(" + strings.Join(marks, ", ") + ")"
	}
	rows, err := c.Query(t.Context(), execute, append([]any{pgx.QueryExecModeSimpleProtocol}, ask.Args...)...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", execute, err)
	}
	return strings.Join(lines, "\n")
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
