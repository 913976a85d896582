package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
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

// What a chat's worker asks again and again reads no more than there is to tell, however much was told, and whatever happened.
func TestTellingCostsWhatItTells(t *testing.T) {
	s, _ := fleet(t)
	ctx := t.Context()
	lease, err := s.AcquireChat(ctx, "1", "me", time.Hour, 1000*time.Hour)
	must(t, err)
	look := func() int {
		n, err := s.Collect(ctx, lease, 10_000, nodestore.Chooser{Choose: func(_ []nodestore.Silence, events []nodestore.Candidate) []nodestore.Choice {
			return make([]nodestore.Choice, len(events)) // all of them are told
		}})
		must(t, err)
		return n
	}
	told := 0
	for look() > 0 {
		alerts, err := s.Waiting(ctx, lease, 100_000)
		must(t, err)
		n, err := s.Freeze(ctx, lease, nodestore.Draft{Text: "all of it", Alerts: len(alerts), Last: alerts[len(alerts)-1].Event.ID})
		must(t, err)
		must(t, s.Told(ctx, lease, n.ID, 1))
		told += len(alerts)
	}
	if told < fleetSize {
		t.Fatalf("there are %d alerts", told)
	}
	analyze(t, s)
	r := &nodestoretest.Recorder{Engine: s.Engine}
	s.Engine = r
	now := node.Stamp(time.Now().UnixNano())
	for name, ask := range map[string]struct {
		blocks int
		do     func() error
	}{
		"looking for news": {10, func() error { look(); return nil }},
		"what is frozen":   {10, func() error { _, err := s.Frozen(ctx, lease); return err }},
		"what waits":       {10, func() error { _, err := s.Waiting(ctx, lease, 1000); return err }},
		"what flaps":       {10, func() error { _, err := s.Held(ctx, lease, nodestore.Flapping, "", now, now, 100); return err }},
		"the flow":         {20, func() error { _, err := s.Flow(ctx, 0); return err }},
		"what was told":    {6 * told, func() error { _, err := s.Burdens(ctx, lease, time.Hour); return err }},
	} {
		must(t, ask.do())
		wantCheap(t, s, name, r.Asked(), ask.blocks)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const fleetSize = 5000

func fleet(t *testing.T) (s *store, ids []string) {
	t.Helper()
	s = newStore(t, postgrestest.Shared(t).NewDatabase(t))
	return s, nodestoretest.Fleet(t, s, fleetSize)
}

func analyze(t *testing.T, s *store) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), "VACUUM ANALYZE")
	must(t, err)
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
	defer do("DEALLOCATE asked; RESET plan_cache_mode")
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
