package postgres

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

const roleEvaluator = "monitor_evaluator"

// as is the database's URL for another role.
func as(t *testing.T, database, role string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	return u.String()
}

// deployment is a database as a deployment makes it: a role a service, and the evaluator's is the owner's.
func deployment(t *testing.T) (super *pgx.Conn, database string) {
	t.Helper()
	server := postgrestest.Start(t)
	super, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { super.Close(t.Context()) })
	for _, statement := range []string{
		`CREATE ROLE monitor_evaluator LOGIN PASSWORD 'secret'`, `CREATE ROLE monitor_notifier LOGIN PASSWORD 'secret'`,
		`CREATE ROLE monitor_web LOGIN PASSWORD 'secret'`, `CREATE DATABASE monitor OWNER monitor_evaluator`,
	} {
		if _, err := super.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return super, server.URL("monitor")
}

func open(t *testing.T, url string) nodestore.Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Each role may do the work of its service, and a program of the notifier or web waits until the evaluator has made
// the tables.
func TestRolesMayDoTheirOwnWorkAlone(t *testing.T) {
	_, database := deployment(t)
	for _, role := range []string{RoleNotifier, RoleWeb} {
		_, err := Open(t.Context(), as(t, database, role), Options{})
		if !nodestore.Passing(err) || nodestore.TroubleOf(err) != nodestore.WrongSchema || !strings.Contains(err.Error(), "the evaluator of this version") {
			t.Errorf("%s before there are tables: %v", role, err)
		}
	}
	evaluator := open(t, as(t, database, roleEvaluator))
	notifier, web := open(t, as(t, database, RoleNotifier)), open(t, as(t, database, RoleWeb))
	initial := node.Settings{Threshold: time.Minute, MaxNodes: 10}
	fold := func(s nodestore.Store) error {
		_, err := s.Acquire(t.Context(), 0, "somebody", time.Minute, initial)
		return err
	}
	tell := func(s nodestore.Store) error {
		_, err := s.AcquireChat(t.Context(), "7", "somebody", time.Minute, 0)
		return err
	}
	look := func(s nodestore.Store) error {
		_, err := s.Nodes(t.Context(), nodestore.NodeQuery{})
		_, other := s.Status(t.Context(), 0)
		_, third := s.Tellings(t.Context(), "alpha", 10)
		return errors.Join(err, other, third)
	}
	for _, c := range []struct {
		name    string
		store   nodestore.Store
		do      func(nodestore.Store) error
		allowed bool
	}{
		{"evaluator folds", evaluator, fold, true},
		{"notifier folds", notifier, fold, false},
		{"web folds", web, fold, false},
		{"notifier tells", notifier, tell, true},
		{"web tells", web, tell, false},
		{"notifier looks", notifier, look, true},
		{"web looks", web, look, true},
	} {
		err := c.do(c.store)
		if c.allowed && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.allowed && nodestore.TroubleOf(err) != nodestore.Denied {
			t.Errorf("%s: %v, want it denied", c.name, err)
		}
	}
}

// Two evaluators that start together give the rights without a quarrel.
func TestRightsAreGivenTogether(t *testing.T) {
	_, database := deployment(t)
	results := make(chan error)
	const programs = 6
	for range programs {
		go func() {
			s, err := Open(t.Context(), as(t, database, roleEvaluator), Options{})
			if err == nil {
				err = s.Close()
			}
			results <- err
		}()
	}
	for range programs {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	open(t, as(t, database, RoleNotifier))
}

// A program with a role that may not migrate waits for an older schema and refuses a newer one.
func TestARoleThatMayNotMigrateFollows(t *testing.T) {
	super, database := deployment(t)
	open(t, as(t, database, roleEvaluator))
	change := func(statement string) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), strings.Replace(super.Config().ConnString(), "/postgres", "/monitor", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change(`INSERT INTO schema_version (version_id, is_applied) VALUES (9999, true)`)
	if _, err := Open(t.Context(), as(t, database, RoleWeb), Options{}); !errors.Is(err, nodestore.ErrNewerSchema) {
		t.Errorf("newer: %v", err)
	}
	known, err := newest(migrations)
	if err != nil {
		t.Fatal(err)
	}
	change(fmt.Sprintf(`DELETE FROM schema_version WHERE version_id >= %d`, known))
	if _, err := Open(t.Context(), as(t, database, RoleWeb), Options{}); !nodestore.Passing(err) || nodestore.TroubleOf(err) != nodestore.WrongSchema {
		t.Errorf("older: %v", err)
	}
}

// Of every table it is decided what the notifier and web may do with it.
func TestEveryTableHasItsRights(t *testing.T) {
	super, database := deployment(t)
	open(t, as(t, database, roleEvaluator))
	c, err := pgx.Connect(t.Context(), strings.Replace(super.Config().ConnString(), "/postgres", "/monitor", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	rows, err := c.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if decided := slices.Sorted(maps.Keys(rights)); !slices.Equal(tables, decided) {
		t.Errorf("tables %v, but in rights.go are %v", tables, decided)
	}
}

// What the roles of the notifier and web may do with each table, as letters of SELECT, INSERT, UPDATE and DELETE. It
// says a second time what rights.go says, from the promise: only the evaluator changes nodes and events, only the
// notifier what it tells, only web what people do at the page.
var promised = map[string][2]string{ // notifier, web
	"schema_version": {"S", "S"}, "partitions": {"S", "S"}, "nodes": {"S", "S"}, "deleted_nodes": {"S", "S"},
	"events": {"S", "S"}, "annotations": {"S", "S"}, "samples": {"", "S"}, "traces": {"S", ""},
	"chats": {"SIUD", "S"}, "cursors": {"SIUD", "S"}, "notifications": {"SIUD", "S"}, "deliveries": {"SIUD", "S"},
	"flaps": {"SIUD", "S"}, "reminders": {"SIUD", "S"}, "summaries": {"SIUD", "S"}, "bots": {"SIUD", ""},
	"silences": {"SIUD", "SIU"}, "acknowledgements": {"SIUD", "SIU"},
	"sessions": {"", "SIUD"}, "tokens": {"", "SIUD"}, "notes": {"", "SIUD"}, "actions": {"", "SIUD"},
}

// The database itself refuses each role what is not its own: every table, every kind of statement.
func TestTheDatabaseRefusesWhatIsAnothers(t *testing.T) {
	super, database := deployment(t)
	open(t, as(t, database, roleEvaluator))
	// What a role has from elsewhere is taken away when the evaluator starts again.
	more, err := pgx.Connect(t.Context(), strings.Replace(super.Config().ConnString(), "/postgres", "/monitor", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close(t.Context())
	if _, err := more.Exec(t.Context(), "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+RoleNotifier+", "+RoleWeb); err != nil {
		t.Fatal(err)
	}
	open(t, as(t, database, roleEvaluator))
	for i, role := range []string{RoleNotifier, RoleWeb} {
		c, err := pgx.Connect(t.Context(), as(t, database, role))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		for table := range rights {
			letters, known := promised[table]
			if !known {
				t.Errorf("%s: nothing is promised of it", table)
			}
			var column string // that the database does not fill in by itself
			if err := c.QueryRow(t.Context(), `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND attidentity = ''
				ORDER BY attnum LIMIT 1`, table).Scan(&column); err != nil {
				t.Fatal(err)
			}
			for _, a := range []struct{ letter, statement string }{
				{"S", "SELECT 1 FROM %s LIMIT 1"}, {"I", "INSERT INTO %s (%s) SELECT NULL WHERE false"},
				{"U", "UPDATE %s SET %s = NULL WHERE false"}, {"D", "DELETE FROM %s"},
				{"T", "TRUNCATE %s"}, {"O", "DROP TABLE %s"}, {"O", "ALTER TABLE %s DROP COLUMN %s"}, {"O", "CREATE INDEX ON %s (%s)"},
			} {
				statement := strings.Replace(strings.Replace(a.statement, "%s", table, 1), "%s", column, 1)
				refused(t, c, role, statement, !strings.Contains(letters[i], a.letter))
			}
		}
		refused(t, c, role, "CREATE TABLE mine (a int)", true)
		refused(t, c, role, "CREATE ROLE another", true)
	}
}

// refused tries a statement and takes it back.
func refused(t *testing.T, c *pgx.Conn, role, statement string, want bool) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), statement)
	var said *pgconn.PgError
	if denied := errors.As(err, &said) && said.Code == "42501"; denied != want || err != nil && !denied {
		t.Errorf("%s: %s: %v, want it refused: %v", role, statement, err, want)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
