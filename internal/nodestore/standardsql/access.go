package standardsql

import (
	"context"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// AddSession implements nodestore.Access.
func (s Store) AddSession(ctx context.Context, x nodestore.Session) error {
	return s.write(ctx, "add a session", func(tx session) error {
		_, err := tx.exec(ctx, `INSERT INTO sessions (hash, name, via, proof, address, created_at, seen_at, until_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, x.Hash, x.Name, x.Via, x.Proof, x.Address,
			x.Created.UnixNano(), x.Seen.UnixNano(), x.Until.UnixNano())
		return err
	})
}

// Session implements nodestore.Access.
func (s Store) Session(ctx context.Context, hash string, now time.Time) (x nodestore.Session, err error) {
	err = s.read(ctx, "read a session", func(tx session) error {
		var created, seen, until int64
		ok, err := tx.one(ctx, `SELECT hash, name, via, proof, address, created_at, seen_at, until_at FROM sessions
			WHERE hash = $1 AND until_at > $2`, []any{hash, now.UnixNano()},
			&x.Hash, &x.Name, &x.Via, &x.Proof, &x.Address, &created, &seen, &until)
		if err == nil && !ok {
			err = nodestore.ErrNotFound
		}
		x.Created, x.Seen, x.Until = instant(created), instant(seen), instant(until)
		return err
	})
	if err != nil {
		return nodestore.Session{}, err
	}
	return x, nil
}

// SeeSession implements nodestore.Access.
func (s Store) SeeSession(ctx context.Context, hash string, seen, until time.Time) error {
	return s.write(ctx, "renew a session", func(tx session) error {
		_, err := tx.exec(ctx, `UPDATE sessions SET seen_at = $2, until_at = $3 WHERE hash = $1`,
			hash, seen.UnixNano(), until.UnixNano())
		return err
	})
}

// EndSession implements nodestore.Access.
func (s Store) EndSession(ctx context.Context, hash string) error {
	return s.write(ctx, "end a session", func(tx session) error {
		_, err := tx.exec(ctx, `DELETE FROM sessions WHERE hash = $1`, hash)
		return err
	})
}

const tokenColumns = `id, hash, node_id, note, by_whom, created_at, revoked_at, revoked_by`

func scanToken(scan func(...any) error) (t nodestore.Token, err error) {
	var created, revoked int64
	err = scan(&t.ID, &t.Hash, &t.NodeID, &t.Note, &t.By, &created, &revoked, &t.RevokedBy)
	t.Created, t.Revoked = instant(created), instant(revoked)
	return t, err
}

// AddToken implements nodestore.Access.
func (s Store) AddToken(ctx context.Context, t nodestore.Token) (out nodestore.Token, err error) {
	err = s.write(ctx, "add a token", func(tx session) error {
		return tx.each(ctx, `INSERT INTO tokens (hash, node_id, note, by_whom, created_at)
			VALUES ($1, $2, $3, $4, {now}) RETURNING `+tokenColumns, []any{t.Hash, t.NodeID, t.Note, t.By},
			func(scan func(...any) error) (_ bool, err error) {
				out, err = scanToken(scan)
				return true, err
			})
	})
	if err != nil {
		return nodestore.Token{}, err
	}
	return out, nil
}

// RevokeToken implements nodestore.Access.
func (s Store) RevokeToken(ctx context.Context, id int64, by string) (out nodestore.Token, err error) {
	err = s.write(ctx, fmt.Sprintf("revoke token %d", id), func(tx session) error {
		if _, err := tx.exec(ctx, `UPDATE tokens SET revoked_at = {now}, revoked_by = $2 WHERE id = $1 AND revoked_at = 0`,
			id, by); err != nil {
			return err
		}
		found := false
		err := tx.each(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1`, []any{id},
			func(scan func(...any) error) (_ bool, err error) {
				found = true
				out, err = scanToken(scan)
				return true, err
			})
		if err == nil && !found {
			err = nodestore.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nodestore.Token{}, err
	}
	return out, nil
}

// Tokens implements nodestore.Access.
func (s Store) Tokens(ctx context.Context) (all []nodestore.Token, err error) {
	err = s.read(ctx, "read tokens", func(tx session) error {
		return tx.each(ctx, `SELECT `+tokenColumns+` FROM tokens
			ORDER BY CASE WHEN revoked_at = 0 THEN 0 ELSE 1 END, id DESC`, nil,
			func(scan func(...any) error) (bool, error) {
				t, err := scanToken(scan)
				all = append(all, t)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// SetNote implements nodestore.Access.
func (s Store) SetNote(ctx context.Context, n nodestore.Note) error {
	return s.write(ctx, "write a note", func(tx session) error {
		if n.Text == "" {
			_, err := tx.exec(ctx, `DELETE FROM notes WHERE node_id = $1`, n.NodeID)
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO notes (node_id, text, by_whom, at) VALUES ($1, $2, $3, {now})
			ON CONFLICT (node_id) DO UPDATE SET text = excluded.text, by_whom = excluded.by_whom, at = excluded.at`,
			n.NodeID, n.Text, n.By)
		return err
	})
}

// Notes implements nodestore.Access.
func (s Store) Notes(ctx context.Context, nodeIDs []string) (map[string]nodestore.Note, error) {
	out := make(map[string]nodestore.Note)
	err := s.read(ctx, "read notes", func(tx session) error {
		return tx.eachOf(ctx, nodeIDs, func(in string) string {
			return `SELECT node_id, text, by_whom, at FROM notes WHERE node_id IN (` + in + `)`
		}, func(scan func(...any) error) error {
			var n nodestore.Note
			var at int64
			err := scan(&n.NodeID, &n.Text, &n.By, &at)
			n.At = instant(at)
			out[n.NodeID] = n
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// BeginAction implements nodestore.Access.
func (s Store) BeginAction(ctx context.Context, a nodestore.Action) (id int64, err error) {
	err = s.write(ctx, "record an action", func(tx session) error {
		_, err := tx.one(ctx, `INSERT INTO actions (at, by_whom, via, address, kind, node_id, detail, outcome)
			VALUES ({now}, $1, $2, $3, $4, $5, $6, $7) RETURNING id`,
			[]any{a.By, a.Via, a.Address, a.Kind, a.NodeID, a.Detail, a.Outcome}, &id)
		return err
	})
	return id, err
}

// EndAction implements nodestore.Access.
func (s Store) EndAction(ctx context.Context, id int64, outcome string) error {
	return s.write(ctx, "record what became of an action", func(tx session) error {
		_, err := tx.exec(ctx, `UPDATE actions SET outcome = $2 WHERE id = $1`, id, outcome)
		return err
	})
}

// Actions implements nodestore.Access.
func (s Store) Actions(ctx context.Context, q nodestore.ActionQuery) (all []nodestore.Action, err error) {
	query, args := `SELECT id, at, by_whom, via, address, kind, node_id, detail, outcome FROM actions WHERE id > 0`, []any(nil)
	add := func(condition string, arg any) {
		args = append(args, arg)
		query += fmt.Sprintf(condition, len(args))
	}
	if q.NodeID != "" {
		add(` AND node_id <> '' AND node_id = $%d`, q.NodeID)
	}
	if q.Before > 0 {
		add(` AND id < $%d`, q.Before)
	}
	query += ` ORDER BY id DESC`
	if q.Limit > 0 {
		add(` LIMIT $%d`, q.Limit)
	}
	err = s.read(ctx, "read actions", func(tx session) error {
		return tx.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
			var a nodestore.Action
			var at int64
			err := scan(&a.ID, &at, &a.By, &a.Via, &a.Address, &a.Kind, &a.NodeID, &a.Detail, &a.Outcome)
			a.At = instant(at)
			all = append(all, a)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// PruneAccess implements nodestore.Access.
func (s Store) PruneAccess(ctx context.Context, now time.Time, age time.Duration) error {
	return s.write(ctx, "prune sessions and actions", func(tx session) error {
		if _, err := tx.exec(ctx, `DELETE FROM sessions WHERE until_at <= $1`, now.UnixNano()); err != nil || age == 0 {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM actions WHERE at < {now} - $1`, int64(age)); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `DELETE FROM tokens WHERE revoked_at > 0 AND revoked_at < {now} - $1`, int64(age))
		return err
	})
}
