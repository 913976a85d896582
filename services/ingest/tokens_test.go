package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// tokenKeeper is the other side of the bucket.
type tokenKeeper struct {
	t *testing.T
	b *bus.Bus
}

func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (k tokenKeeper) add(token, node string) {
	k.t.Helper()
	value, err := json.Marshal(contract.Token{V: contract.Version, NodeID: node})
	if err != nil {
		k.t.Fatal(err)
	}
	k.put(keyOf(token), string(value))
}

func (k tokenKeeper) put(key, value string) {
	k.t.Helper()
	if err := k.b.Put(k.t.Context(), contract.TokensBucket, key, []byte(value)); err != nil {
		k.t.Fatal(err)
	}
}

func (k tokenKeeper) revoke(token string) {
	k.t.Helper()
	if err := k.b.Remove(k.t.Context(), contract.TokensBucket, keyOf(token)); err != nil {
		k.t.Fatal(err)
	}
}

func (k tokenKeeper) complete() { k.put(contract.TokensComplete, "1") }

// as sends a heartbeat of a node with a token.
func as(url, token, node string) (int, http.Header) {
	req, err := http.NewRequest("POST", url+Path, strings.NewReader(fmt.Sprintf(`{"node_id":%q}`, node)))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestTokensOfNodes(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	n := newNATS(t)
	b := n.connect(t)
	k, registry := tokenKeeper{t, b}, prometheus.NewRegistry()
	s := newService(t, Options{Bus: b, Tokens: b, Metrics: registry})
	web := listen(t, s)
	start(t, s)
	status := func(token, node string) int {
		code, _ := as(web.URL, token, node)
		return code
	}
	is := func(what, token, node string, want int) {
		t.Helper()
		if got := status(token, node); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	k.add("of-a", "a")
	k.add("of-any", "")
	// Nobody said that these are all: a token that is not among them may be good.
	code, header := as(web.URL, "of-b", "b")
	if code != 503 || header.Get("Retry-After") == "" {
		t.Errorf("before all tokens are known: %d, %v", code, header)
	}
	is("the shared secret", testSecret.Reveal(), "x", 200)
	k.complete()
	waitFor(t, "the tokens", func() bool { return s.door.tokens.count() == 2 })
	is("its own node", "of-a", "a", 200)
	is("another node", "of-a", "b", 403)
	is("another node, by letter case", "of-a", "A", 403)
	is("any node", "of-any", "b", 200)
	is("an unknown one", "of-b", "b", 401)
	is("a hash for the token", keyOf("of-a"), "a", 401)
	is("the shared secret", testSecret.Reveal(), "x", 200)

	begun := time.Now()
	k.add("of-b", "b")
	waitFor(t, "a new token", func() bool { return status("of-b", "b") == 200 })
	added := time.Since(begun)
	begun = time.Now()
	k.revoke("of-b")
	waitFor(t, "the revocation", func() bool { return status("of-b", "b") == 401 })
	revoked := time.Since(begun)
	if added > 5*time.Second || revoked > 5*time.Second {
		t.Errorf("a new token takes %v, a revocation %v", added, revoked)
	}
	t.Logf("a new token works after %v, a revoked one no longer after %v", added, revoked)
	k.put(keyOf("of-c"), `{"v":2,"nobody":"knows"}`)
	k.put("no-hash", `{"v":1}`)
	k.add("of-d", "d")
	waitFor(t, "the next token", func() bool { return status("of-d", "d") == 200 })
	is("one that is not understood", "of-c", "c", 401)
}

// What ingest knows it keeps when NATS is away, and when NATS comes back without its data.
func TestTokensOutliveNATS(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	n := newNATS(t)
	b := n.connect(t)
	k := tokenKeeper{t, b}
	s := newService(t, Options{Bus: b, Tokens: b})
	start(t, s)
	k.add("of-a", "a")
	k.add("of-b", "b")
	k.complete()
	find := func(token string) grant {
		g, _ := s.door.admits([]byte("Bearer " + token))
		return g
	}
	waitFor(t, "the tokens", func() bool { return find("of-a") == oneNode })
	n.stop()
	waitFor(t, "the connection to be gone", func() bool { return b.Ready(t.Context()) != nil })
	if find("of-a") != oneNode || find("unknown") != stranger {
		t.Error("without NATS nothing is known any more")
	}
	n.dir = t.TempDir() // its disk was lost
	n.start()
	waitFor(t, "the streams", func() bool { return b.EnsureStreams(t.Context(), 0, bus.StreamLimits{MaxBytes: 32 << 20}) == nil })
	k.add("of-a", "a")
	k.add("of-c", "c")
	if find("of-b") != oneNode {
		t.Error("tokens are forgotten before all are there again")
	}
	k.complete()
	waitFor(t, "the tokens anew", func() bool { return find("of-c") == oneNode && find("of-b") == stranger })
	if find("of-a") != oneNode {
		t.Error("a token is lost")
	}
	// And it goes on to hear of changes.
	k.revoke("of-a")
	waitFor(t, "the revocation", func() bool { return find("of-a") == stranger })
}

// A fleet behind one address whose tokens are not known yet is told to come later, never that its tokens are wrong, and
// a wrong node id is counted as guessing.
func TestTokensAndLimits(t *testing.T) {
	clock := newClock()
	s := newService(t, Options{Bus: newFakeBus(), Tokens: nothing{}, Now: clock.now})
	start(t, s)
	for i := range failuresAtOnce + 5 {
		w := post(s.Handler(), Path, "Bearer of-a", `{"node_id":"a"}`)
		want := 503
		if i >= failuresAtOnce {
			want = 429
		}
		if w.Code != want || w.Header().Get("Retry-After") == "" {
			t.Fatalf("heartbeat %d: %d, want %d", i, w.Code, want)
		}
	}
	s = newService(t, Options{Bus: newFakeBus(), Tokens: nothing{}, Now: clock.now})
	start(t, s)
	s.door.tokens.nodes = map[hash]string{sha256.Sum256([]byte("of-a")): "a"}
	for i := range failuresAtOnce + 5 {
		w := post(s.Handler(), Path, "Bearer of-a", fmt.Sprintf(`{"node_id":"n%d"}`, i))
		want := 403
		if i >= failuresAtOnce {
			want = 429
		}
		if w.Code != want {
			t.Fatalf("node %d: %d, want %d", i, w.Code, want)
		}
	}
	if w := post(s.Handler(), Path, "Bearer of-a", `{"node_id":"a"}`); w.Code != 200 {
		t.Errorf("the node itself: %d", w.Code)
	}
}

// nothing is a source that never answers.
type nothing struct{}

func (nothing) Follow(ctx context.Context, _ string, _ func(bus.Entry), _ func()) error {
	<-ctx.Done()
	return nil
}
