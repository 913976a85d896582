// Package monitordb imports the database of the first Gensyn Monitor, one SQLite file that its server calls monitor.db.
package monitordb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/plain"
)

// ErrForeign means that the file is not the database of a first Gensyn Monitor.
var ErrForeign = errors.New("not the database of a first Gensyn Monitor")

// judged is how long after it was heard first a node is judged by the old server, at the latest: it looks once a minute.
// Until then its row says DOWN, whatever the node is.
const judged = 2 * time.Minute

// Database is what such a file holds.
type Database struct {
	Nodes   []contract.Imported // by node_id
	Skipped []Skipped
}

// Skipped is a row that cannot be imported.
type Skipped struct{ NodeID, Why string }

// Read reads the file and changes nothing about it; the old server may go on writing meanwhile. now is the time by which
// ages are told. ErrForeign for another database.
func Read(ctx context.Context, path string, now time.Time) (Database, error) {
	d, err := read(ctx, path, now)
	if err != nil {
		return Database{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func read(ctx context.Context, path string, now time.Time) (Database, error) {
	var d Database
	err := withDatabase(ctx, path, func(tx *sql.Tx) (err error) {
		d, err = readNodes(ctx, tx, now)
		return err
	})
	return d, err
}

// needed are the columns without which nothing can be imported; older files have no last_reported.
var needed = []string{"node_id", "ip", "last_seen", "last_state", "meta"}

func readNodes(ctx context.Context, tx *sql.Tx, now time.Time) (Database, error) {
	columns, err := columnsOf(ctx, tx)
	if err != nil {
		return Database{}, err
	}
	for _, name := range needed {
		if !columns[name] {
			return Database{}, fmt.Errorf("%w: it has no table nodes with a column %s", ErrForeign, name)
		}
	}
	reported := "last_reported"
	if !columns[reported] {
		reported = "NULL"
	}
	rows, err := tx.QueryContext(ctx, "SELECT node_id, ip, last_seen, last_state, meta, "+reported+" FROM nodes ORDER BY node_id")
	if err != nil {
		return Database{}, err
	}
	defer rows.Close()
	var d Database
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.ip, &r.seen, &r.state, &r.meta, &r.reported); err != nil {
			return Database{}, err
		}
		n, why := r.node(now)
		if why != "" {
			d.Skipped = append(d.Skipped, Skipped{NodeID: plain.Line(text(r.id), contract.MaxNodeIDChars), Why: why})
			continue
		}
		d.Nodes = append(d.Nodes, n)
	}
	return d, rows.Err()
}

func columnsOf(ctx context.Context, tx *sql.Tx) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT name FROM pragma_table_info('nodes')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[string]bool)
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out[strings.ToLower(name)] = true
	}
	return out, rows.Err()
}

// row is one node as SQLite gives it: any column may hold a value of any type.
type row struct{ id, ip, seen, state, meta, reported any }

// node says why a row cannot be imported, or returns what it is.
func (r row) node(now time.Time) (n contract.Imported, why string) {
	id := strings.TrimSpace(text(r.id))
	heard, ok := seconds(r.seen)
	switch {
	case id == "":
		return n, "node_id is empty"
	case !utf8.ValidString(id) || strings.ContainsFunc(id, plain.Unprintable):
		return n, "node_id holds control characters"
	case utf8.RuneCountInString(id) > contract.MaxNodeIDChars:
		return n, fmt.Sprintf("node_id is longer than %d characters", contract.MaxNodeIDChars)
	case !ok:
		return n, "last_seen is no time"
	}
	return contract.Imported{
		NodeID: id, IP: address(text(r.ip)), Meta: plain.Line(text(r.meta), contract.MaxMetaBytes),
		State: string(r.told(now.Sub(time.Unix(heard, 0)))), HeardUnixMs: heard * 1000,
	}, ""
}

// told is the state that people know of, since the old server told it: last_state is what it told last.
func (r row) told(age time.Duration) node.State {
	switch {
	case !strings.EqualFold(text(r.state), "DOWN"):
		return node.Up
	case strings.EqualFold(text(r.reported), "DOWN"):
		return node.Down
	case age > judged:
		return node.Lost
	}
	return node.Up // it was not judged yet
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

// seconds is a time in Unix seconds that can be told in milliseconds as well.
func seconds(v any) (int64, bool) {
	var s float64
	switch v := v.(type) {
	case int64:
		s = float64(v)
	case float64:
		s = v
	}
	return int64(s), s >= 1 && s < math.MaxInt64/float64(time.Second) // NaN is neither
}

// address is "" for what is none: old agents send whatever a look-up service answered, a page of HTML included.
func address(s string) string {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return ""
	}
	return a.Unmap().WithZone("").String()
}
