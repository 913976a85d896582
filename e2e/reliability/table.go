package reliability

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"
)

// Run says where, when and on what the rows were seen.
type Run struct {
	Command string    // that makes them again
	Commit  string    // of the repository, with "-dirty" if it had other changes
	Machine string    // processor, cores, memory
	Started time.Time // in UTC
	Missing []string  // packages that were left out
}

// Read returns the rows that Report left in the folders of a folder, in the order of the table. It is an error if there is none, or one
// of a group that the table does not have.
func Read(dir string) ([]Row, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("rows of %s: %w", dir, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no rows in %s", dir)
	}
	var rows []Row
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("rows: %w", err)
		}
		var r Row
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("row %s: %w", name, err)
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("row %s: %w", name, err)
		}
		rows = append(rows, r)
	}
	sort.SliceStable(rows, func(i, k int) bool {
		a, b := rows[i], rows[k]
		if a.Group != b.Group {
			return slices.Index(Groups, a.Group) < slices.Index(Groups, b.Group)
		}
		return a.Test+a.Fault < b.Test+b.Fault
	})
	return rows, nil
}

func (r Row) check() error {
	switch {
	case !slices.Contains(Groups, r.Group):
		return fmt.Errorf("unknown group %q", r.Group)
	case r.Fault == "" || r.Must == "" || r.Seen == "":
		return errors.New("it does not say what was done, what must happen and what was seen")
	case r.Rounds < 1:
		return errors.New("no round was made")
	case r.Test == "":
		return errors.New("no test is named")
	}
	return nil
}

const head = `# What faults were survived

This page is written by a run of the tests, never by hand: ` + "`%s`" + `.
Every row is a fault made on purpose to real programs, what must happen then, and what was seen. A test that fails leaves
no page at all.

Эту страницу пишет прогон тестов, не человек. Каждая строка: неисправность, устроенная нарочно настоящим программам; что
должно произойти; что увидели; сколько раз. Если хоть один тест не прошёл, страницы не будет.

| | |
|---|---|
| commit | %s |
| machine | %s |
| when | %s |

Words: a *false* DOWN or LOST is one told of a node that worked; *blind* is a span in which the monitor could not have
heard anybody, and which counts against no node; *acknowledged* is a heartbeat that ingest answered with 200. Where a
duration of days or minutes is scaled down, the threshold is scaled with it, and the row says so.
`

// Write renders the page.
func Write(w io.Writer, run Run, rows []Row) error {
	var b strings.Builder
	fmt.Fprintf(&b, head, run.Command, run.Commit, run.Machine, run.Started.UTC().Format("2006-01-02 15:04 MST"))
	if len(run.Missing) > 0 {
		fmt.Fprintf(&b, "\n**Left out of this run** (не вошло в этот прогон): %s.\n", strings.Join(run.Missing, ", "))
	}
	group := ""
	for _, r := range rows {
		if r.Group != group {
			group = r.Group
			fmt.Fprintf(&b, "\n## %s\n\n| fault | must | seen | rounds | test |\n|---|---|---|---:|---|\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | `%s` |\n", cell(r.Fault), cell(r.Must), cell(r.Seen), r.Rounds, cell(r.Test))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\r", "", "\n", "<br>", "<", "&lt;").Replace(strings.TrimSpace(s))
}
