package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// The roles that get rights, where they exist. The evaluator's is any other: it owns the tables.
const (
	RoleNotifier = "monitor_notifier"
	RoleWeb      = "monitor_web"
)

const (
	reads  = "SELECT"
	adds   = "SELECT, INSERT, UPDATE"
	writes = "SELECT, INSERT, UPDATE, DELETE"
)

// rights are what the roles may do with each table; nothing where they are not named. Only the evaluator changes nodes
// and events, only the notifier what it tells people; web reads, and writes what people do at the page.
var rights = map[string]map[string]string{
	"schema_version": {RoleNotifier: reads, RoleWeb: reads},
	"partitions":     {RoleNotifier: reads, RoleWeb: reads},
	"nodes":          {RoleNotifier: reads, RoleWeb: reads},
	"deleted_nodes":  {RoleNotifier: reads, RoleWeb: reads},
	"events":         {RoleNotifier: reads, RoleWeb: reads},
	"annotations":    {RoleNotifier: reads, RoleWeb: reads},
	"samples":        {RoleWeb: reads},
	"traces":         {RoleNotifier: reads},

	"chats":            {RoleNotifier: writes, RoleWeb: reads},
	"cursors":          {RoleNotifier: writes, RoleWeb: reads},
	"notifications":    {RoleNotifier: writes, RoleWeb: reads},
	"deliveries":       {RoleNotifier: writes, RoleWeb: reads},
	"silences":         {RoleNotifier: writes, RoleWeb: adds},
	"acknowledgements": {RoleNotifier: writes, RoleWeb: adds},
	"flaps":            {RoleNotifier: writes, RoleWeb: reads},
	"reminders":        {RoleNotifier: writes, RoleWeb: reads},
	"summaries":        {RoleNotifier: writes, RoleWeb: reads},
	"bots":             {RoleNotifier: writes},

	"sessions": {RoleWeb: writes},
	"tokens":   {RoleWeb: writes},
	"notes":    {RoleWeb: writes},
	"actions":  {RoleWeb: writes},
}

// rightsLock is an advisory lock: two programs that start together must not change the same table's rights at once.
const rightsLock = 7_201_954_338

// giveRights gives the roles that exist their rights to the tables of this role, and no others.
func giveRights(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(rightsLock)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT c.relname, r.rolname FROM pg_class c, pg_roles r
			WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE')
				AND r.rolname = ANY ($1) AND r.rolname <> current_user`, []string{RoleNotifier, RoleWeb})
		if err != nil {
			return err
		}
		pairs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Role string }])
		if err != nil {
			return err
		}
		for _, p := range pairs {
			// What an earlier version gave and this one does not is taken away.
			if _, err := tx.Exec(ctx, "REVOKE ALL ON "+p.Table+" FROM "+p.Role); err != nil {
				return err
			}
			allowed := rights[p.Table][p.Role]
			if allowed == "" {
				continue
			}
			if _, err := tx.Exec(ctx, "GRANT "+allowed+" ON "+p.Table+" TO "+p.Role); err != nil {
				return err
			}
		}
		return nil
	})
}
