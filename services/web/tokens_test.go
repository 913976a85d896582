package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// newBucket is a real NATS with its streams.
func newBucket(t *testing.T) (*bustest.Server, *bus.Bus) {
	t.Helper()
	server := bustest.Start(t)
	b := server.Connect()
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Fatal(err)
	}
	return server, b
}

// copied is what ingest sees: node ids by hash, and whether that is all.
func copied(t *testing.T, b Bucket) (map[string]string, bool) {
	t.Helper()
	entries, err := b.Entries(t.Context(), contract.TokensBucket)
	if err != nil {
		t.Fatal(err)
	}
	out, complete := make(map[string]string), false
	for _, e := range entries {
		switch {
		case e.Removed:
		case e.Key == contract.TokensComplete:
			complete = true
		default:
			x, err := contract.DecodeToken(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[e.Key] = x.NodeID
		}
	}
	return out, complete
}

func TestTokensAreMadeListedAndRevoked(t *testing.T) {
	_, b := newBucket(t)
	a := newActed(t, func(o *Options) { o.Tokens, o.AgentHint, o.PublicURL = b, true, "http://nodes.example.org/" })
	w := a.call("POST", "/api/tokens", `{"node_id":" it's/1 ","note":"cellar"}`)
	wantStatus(t, w, 201)
	var made tokenAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.Token, "gmt_") || len(made.Token) != 30 || made.NodeID != "it's/1" || made.Note != "cellar" || made.Detail != "" {
		t.Errorf("%+v", made)
	}
	if got, _ := copied(t, b); got[access.Hash(made.Token)] != "it's/1" || len(got) != 1 {
		t.Errorf("ingest sees %v", got)
	}
	// The form, for any node: it shows the token, and no address shows it again.
	form := a.form("token", "note", "all of them")
	wantStatus(t, form, 201)
	_, second, _ := strings.Cut(form.Body.String(), `<code id="token">`)
	second, _, _ = strings.Cut(second, "<")
	got, _ := copied(t, b)
	if node, there := got[access.Hash(second)]; !there || node != "" {
		t.Errorf("ingest sees %v", got)
	}
	page := a.v.get("/tokens")
	wantText(t, page, "it&#39;s/1", "cellar", "all of them", "any node")
	everything := page.Body.String() + a.call("GET", "/api/tokens", "").Body.String() + a.call("GET", "/api/audit", "").Body.String() + a.v.get("/audit").Body.String()
	for _, secret := range []string{made.Token, second, access.Hash(second)} {
		if strings.Contains(everything, secret) {
			t.Errorf("%s is shown again", secret)
		}
	}
	wantStatus(t, a.call("DELETE", fmt.Sprintf("/api/tokens/%d", made.ID), ""), 200)
	wantSent(t, a.form("revoke", "id", "2", "next", "tokens"), "../tokens?done=revoke")
	if got, _ := copied(t, b); len(got) != 0 {
		t.Errorf("ingest sees %v", got)
	}
	wantText(t, a.v.get("/tokens?done=revoke"), "The token is revoked.", "revoked 20")
	if got := kindsOfActions(actionsOf(t, a.store)); got != "revoke revoke token token sign_in" {
		t.Errorf("audit log: %s", got)
	}
}

// The lines do in a shell what they say, whatever the node is called.
func TestInstallLines(t *testing.T) {
	x := installing("https://nodes.example.org", "gmt_X", `it's "$HOME" \1`)
	script := strings.Replace(strings.TrimPrefix(x.Linux, "sudo "), "./gensyn-agent install", `sh -c 'printf "%s|%s|%s" "$SERVER_URL" "$SHARED_SECRET" "$NODE_ID"'`, 1)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput()
	if want := `https://nodes.example.org|gmt_X|it's "$HOME" \1`; err != nil || string(out) != want {
		t.Errorf("%s: %q, %v", script, out, err)
	}
	if want := `$env:SERVER_URL='https://nodes.example.org'; $env:SHARED_SECRET='gmt_X'; $env:NODE_ID='it''s "$HOME" \1'; .\gensyn-agent.exe install`; x.Windows != want {
		t.Errorf("got %s", x.Windows)
	}
}

// Without NATS a token is made and revoked all the same, and ingest hears of both once NATS is back.
func TestTokensWithoutNATS(t *testing.T) {
	server, b := newBucket(t)
	a := newActed(t, func(o *Options) { o.Tokens, o.Now = b, time.Now })
	var first tokenAnswer
	if err := json.Unmarshal(a.call("POST", "/api/tokens", `{"node_id":"first"}`).Body.Bytes(), &first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error, 1)
	go func() { running <- a.s.Run(ctx) }()
	defer func() { cancel(); <-running }()
	wait(t, "the copy to be complete", func() bool { _, complete := copied(t, b); return complete })
	server.Stop()
	w := a.call("POST", "/api/tokens", `{"node_id":"second"}`)
	wantStatus(t, w, 201)
	wantText(t, w, "it works once NATS answers")
	w = a.call("DELETE", fmt.Sprintf("/api/tokens/%d", first.ID), "")
	wantStatus(t, w, 202)
	wantText(t, w, "revoked; ingest learns of it once NATS answers")
	server.Restart()
	wait(t, "the connection", func() bool { return b.Ready(t.Context()) == nil })
	begun := time.Now()
	wait(t, "the copy to be up to date", func() bool {
		got, _ := copied(t, b)
		_, old := got[access.Hash(first.Token)]
		return !old && len(got) == 1
	})
	t.Logf("up to date %v after NATS was back", time.Since(begun))
}

func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// meddler is a bucket or a database at which another page does something in between.
type meddler struct {
	Bucket
	nodestore.Access
	afterEntries, afterTokens func()
}

func (m *meddler) Entries(ctx context.Context, bucket string) ([]bus.Entry, error) {
	all, err := m.Bucket.Entries(ctx, bucket)
	m.afterEntries()
	return all, err
}

func (m *meddler) Tokens(ctx context.Context) ([]nodestore.Token, error) {
	all, err := m.Access.Tokens(ctx)
	m.afterTokens()
	return all, err
}

// Whatever other pages do while one compares, no good token leaves the copy and no revoked one comes back.
func TestComparingWhileOthersMakeAndRevoke(t *testing.T) {
	_, b := newBucket(t)
	store := realStore(t)
	other := withStore(t, store, func(o *Options) { o.Tokens = b })
	act := func(kind string, a ask) result {
		return other.perform(t.Context(), Viewer{Name: "ben", SignedIn: true}, kind, a)
	}
	made := func(node string) tokenAnswer { return act("token", ask{NodeID: node}).answer.(tokenAnswer) }
	// lost takes a token out of the copy, as if NATS had lost it.
	unseen := func(node string) nodestore.Token {
		x, err := store.AddToken(t.Context(), nodestore.Token{Hash: access.Hash(node), NodeID: node})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	nothing := func() {}
	for name, tt := range map[string]func(m *meddler) (want []string){
		"one is made after the copy was read": func(m *meddler) []string {
			m.afterEntries = func() { made("new") }
			return []string{"new"}
		},
		"one is made after the database was read": func(m *meddler) []string {
			m.afterTokens = func() { made("new") }
			return []string{"new"}
		},
		"one is revoked after the copy was read": func(m *meddler) []string {
			x := made("old")
			m.afterEntries = func() { act("revoke", ask{ID: x.ID}) }
			return nil
		},
		"one is revoked after the database was read": func(m *meddler) []string {
			x := made("old")
			m.afterTokens = func() { act("revoke", ask{ID: x.ID}) }
			return nil
		},
		"one that was missing is revoked after the database was read": func(m *meddler) []string {
			x := unseen("missing")
			m.afterTokens = func() { act("revoke", ask{ID: x.ID}) }
			return nil
		},
		"one that was missing": func(*meddler) []string { unseen("lost"); return []string{"lost"} },
		"one that nobody made, and one that says something else": func(*meddler) []string {
			x := made("mine")
			for key, value := range map[string]string{access.Hash("foreign"): `{"v":1}`, access.Hash(x.Token): `{"v":1,"node_id":"other"}`} {
				if err := b.Put(t.Context(), contract.TokensBucket, key, []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			return []string{"mine"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := store.Tokens(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range all {
				act("revoke", ask{ID: x.ID})
			}
			m := &meddler{Bucket: b, Access: store, afterEntries: nothing, afterTokens: nothing}
			want := tt(m)
			s := withStore(t, store, func(o *Options) { o.Tokens, o.Access = m, m })
			if err := s.copyTokens(t.Context()); err != nil {
				t.Fatal(err)
			}
			var nodes []string
			got, complete := copied(t, b)
			for _, node := range got {
				nodes = append(nodes, node)
			}
			slices.Sort(nodes)
			if !slices.Equal(nodes, want) || !complete {
				t.Errorf("ingest sees %v, want %v; complete %v", nodes, want, complete)
			}
		})
	}
}

func TestTokensPageInRussian(t *testing.T) {
	_, b := newBucket(t)
	a := newActed(t, func(o *Options) { o.Tokens = b })
	a.v.headers["Accept-Language"] = "ru"
	w := a.v.do("POST", "/do/token", url.Values{"node_id": {"rig-1"}})
	wantText(t, w, `<html lang="ru">`, accessRussian.ShownOnce, "NODE_ID=&#39;rig-1&#39;", russian.IngestAddress[:8])
}
