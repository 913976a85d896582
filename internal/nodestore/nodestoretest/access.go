package nodestoretest

import (
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var accessChecks = []check{
	{"a session lasts until it is over or ended", sessions},
	{"a token is good until it is revoked, for good", tokens},
	{"a node has one note", notes},
	{"actions are listed newest first, by node and by page", actions},
	{"old sessions, actions and revoked tokens are pruned", pruneAccess},
}

// hash is one of 64 digits.
func hash(digit string) string { return strings.Repeat(digit, 64) }

func sessions(t *testing.T, d *database) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 7, time.UTC)
	a := nodestore.Session{
		Hash: hash("a"), Name: "ann", Via: "password", Proof: "p1", Address: "192.0.2.1",
		Created: now, Seen: now, Until: now.Add(time.Hour),
	}
	b := a
	b.Hash, b.Name = hash("b"), "ben"
	must(t, d.AddSession(t.Context(), a))
	must(t, d.AddSession(t.Context(), b))
	if d.AddSession(t.Context(), a) == nil {
		t.Error("a second session with the same hash")
	}
	is := func(hash string, at time.Time, want nodestore.Session) {
		t.Helper()
		got, err := d.again(t).Session(t.Context(), hash, at)
		must(t, err)
		diff(t, "session", got, want)
	}
	gone := func(hash string, at time.Time) {
		t.Helper()
		_, err := d.Session(t.Context(), hash, at)
		wantErr(t, "a session that is over", err, nodestore.ErrNotFound)
	}
	is(a.Hash, now, a)
	is(a.Hash, a.Until.Add(-1), a)
	gone(a.Hash, a.Until)
	gone(hash("c"), now)
	gone("", now)
	a.Seen, a.Until = now.Add(time.Minute), now.Add(2*time.Hour)
	must(t, d.SeeSession(t.Context(), a.Hash, a.Seen, a.Until))
	is(a.Hash, a.Until.Add(-1), a)
	is(b.Hash, now, b)
	must(t, d.EndSession(t.Context(), a.Hash))
	gone(a.Hash, now)
	must(t, d.SeeSession(t.Context(), a.Hash, a.Seen, a.Until)) // it does not come back
	gone(a.Hash, now)
	must(t, d.EndSession(t.Context(), a.Hash))
	is(b.Hash, now, b)
}

func tokens(t *testing.T, d *database) {
	before := time.Now().Add(-time.Minute)
	add := func(x nodestore.Token) nodestore.Token {
		t.Helper()
		got, err := d.AddToken(t.Context(), x)
		must(t, err)
		if got.Created.Before(before) || got.Created.After(time.Now().Add(time.Minute)) || got.ID == 0 {
			t.Errorf("stored %+v", got)
		}
		x.ID, x.Created = got.ID, got.Created
		diff(t, "token", got, x)
		return got
	}
	a := add(nodestore.Token{Hash: hash("a"), NodeID: "rig/1", Note: "cellar", By: "ann"})
	b := add(nodestore.Token{Hash: hash("b"), By: "ben"})
	if _, err := d.AddToken(t.Context(), nodestore.Token{Hash: hash("a")}); err == nil {
		t.Error("a second token with the same hash")
	}
	list := func(want ...nodestore.Token) {
		t.Helper()
		all, err := d.again(t).Tokens(t.Context())
		must(t, err)
		diff(t, "tokens", all, want)
	}
	list(b, a)
	revoked, err := d.RevokeToken(t.Context(), b.ID, "cid")
	must(t, err)
	if revoked.Revoked.Before(before) || revoked.RevokedBy != "cid" || revoked.Hash != b.Hash {
		t.Errorf("revoked %+v", revoked)
	}
	list(a, revoked)
	again, err := d.RevokeToken(t.Context(), b.ID, "dan")
	must(t, err)
	diff(t, "revoked again", again, revoked)
	_, err = d.RevokeToken(t.Context(), b.ID+9, "dan")
	wantErr(t, "revoke an unknown one", err, nodestore.ErrNotFound)
	if _, err := d.AddToken(t.Context(), nodestore.Token{Hash: b.Hash}); err == nil {
		t.Error("a revoked token was added anew")
	}
}

func notes(t *testing.T, d *database) {
	is := func(want map[string]string) {
		t.Helper()
		got, err := d.again(t).Notes(t.Context(), []string{"n", "m", "unknown"})
		must(t, err)
		texts := make(map[string]string)
		for id, n := range got {
			if n.NodeID != id || n.At.Before(time.Now().Add(-time.Minute)) {
				t.Errorf("%s: %+v", id, n)
			}
			texts[id] = n.Text + " by " + n.By
		}
		diff(t, "notes", texts, want)
	}
	is(map[string]string{})
	must(t, d.SetNote(t.Context(), nodestore.Note{NodeID: "n", Text: "fan", By: "ann"}))
	must(t, d.SetNote(t.Context(), nodestore.Note{NodeID: "m", Text: "loud", By: "ann"}))
	is(map[string]string{"n": "fan by ann", "m": "loud by ann"})
	must(t, d.SetNote(t.Context(), nodestore.Note{NodeID: "n", Text: "new fan", By: "ben"}))
	is(map[string]string{"n": "new fan by ben", "m": "loud by ann"})
	must(t, d.SetNote(t.Context(), nodestore.Note{NodeID: "n", By: "cid"}))
	is(map[string]string{"m": "loud by ann"})
	if got, err := d.Notes(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func actions(t *testing.T, d *database) {
	begin := func(kind, nodeID string) nodestore.Action {
		t.Helper()
		a := nodestore.Action{By: "ann", Via: "password", Address: "192.0.2.1", Kind: kind, NodeID: nodeID, Detail: "of " + nodeID}
		id, err := d.BeginAction(t.Context(), a)
		must(t, err)
		a.ID = id
		return a
	}
	one, two, three := begin("name", "n"), begin("sign_out", ""), begin("delete", "n")
	must(t, d.EndAction(t.Context(), one.ID, "done"))
	one.Outcome = "done"
	is := func(q nodestore.ActionQuery, want ...nodestore.Action) {
		t.Helper()
		all, err := d.Actions(t.Context(), q)
		must(t, err)
		for i := range all {
			if at := all[i].At; at.Before(time.Now().Add(-time.Minute)) || at.After(time.Now().Add(time.Minute)) {
				t.Errorf("at %v", at)
			}
			all[i].At = time.Time{}
		}
		diff(t, "actions", all, want)
	}
	is(nodestore.ActionQuery{}, three, two, one)
	is(nodestore.ActionQuery{Limit: 2}, three, two)
	is(nodestore.ActionQuery{Before: two.ID}, one)
	is(nodestore.ActionQuery{NodeID: "n"}, three, one)
	is(nodestore.ActionQuery{NodeID: "n", Before: three.ID, Limit: 5}, one)
	is(nodestore.ActionQuery{NodeID: "unknown"})
}

func pruneAccess(t *testing.T, d *database) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for digit, until := range map[string]time.Time{"a": now, "b": now.Add(1)} {
		must(t, d.AddSession(t.Context(), nodestore.Session{Hash: hash(digit), Created: now, Seen: now, Until: until}))
	}
	good, err := d.AddToken(t.Context(), nodestore.Token{Hash: hash("a")})
	must(t, err)
	bad, err := d.AddToken(t.Context(), nodestore.Token{Hash: hash("b")})
	must(t, err)
	_, err = d.RevokeToken(t.Context(), bad.ID, "ann")
	must(t, err)
	if _, err := d.BeginAction(t.Context(), nodestore.Action{Kind: "name"}); err != nil {
		t.Fatal(err)
	}
	left := func(tokens, actions int) {
		t.Helper()
		all, err := d.Tokens(t.Context())
		must(t, err)
		log, err := d.Actions(t.Context(), nodestore.ActionQuery{})
		must(t, err)
		if len(all) != tokens || len(log) != actions || all[0].ID != good.ID {
			t.Errorf("%d tokens and %d actions are left, want %d and %d", len(all), len(log), tokens, actions)
		}
	}
	must(t, d.PruneAccess(t.Context(), now, 0))
	must(t, d.PruneAccess(t.Context(), now, time.Hour))
	left(2, 1)
	if _, err := d.Session(t.Context(), hash("a"), now.Add(-1)); err == nil {
		t.Error("a session that is over is still stored")
	}
	if _, err := d.Session(t.Context(), hash("b"), now); err != nil {
		t.Error(err)
	}
	eventually(t, "old ones are pruned", func() bool {
		must(t, d.PruneAccess(t.Context(), now, time.Nanosecond))
		log, err := d.Actions(t.Context(), nodestore.ActionQuery{})
		must(t, err)
		return len(log) == 0
	})
	left(1, 0)
}
