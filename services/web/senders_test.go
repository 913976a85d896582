package web

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
)

// byTurns are heartbeats of two senders of one node, every half minute for so long, the last one at noon.
func byTurns(d time.Duration, bootIDs ...string) (out []node.Message) {
	addresses := []string{"203.0.113.9", "203.0.113.5"}
	for at := d; at >= 0; at -= 5 * time.Second {
		m := node.Message{Seq: uint64(len(out) + 1), Stamp: ago(at)}
		if i := len(out) / 6; len(out)%6 == 0 {
			h := node.Heartbeat{NodeID: "gpu-07", IP: addresses[i%2], BootID: bootIDs[i%2]}
			if h.Seq = int64(i + 1); i%2 == 1 && bootIDs[0] == bootIDs[1] {
				h.Seq -= 1000
			}
			m.Heartbeats = append(m.Heartbeats, h)
		}
		out = append(out, m)
	}
	return out
}

// doubled is a node with two senders, as the fold leaves it.
func doubled(bootIDs ...string) node.Node {
	f := node.New(0, node.Snapshot{Clock: node.Clock{Settings: node.Settings{Threshold: 3 * time.Minute, MaxNodes: 10}}})
	for _, m := range byTurns(20*time.Minute, bootIDs...) {
		f.Apply(m)
	}
	return f.Take().Nodes[0]
}

// doubleSome gives some nodes several senders, of each kind.
func doubleSome(store *fakeStore) {
	for i, bootIDs := range map[int][2]string{5: {"", ""}, 6: {"1", "1"}, 21: {"1", "2"}} {
		n := &store.nodes[i]
		n.Senders, n.IP = doubled(bootIDs[:]...).Senders, "203.0.113.5"
	}
}

func TestSeveralSendersAreShownWhileTheyAre(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "monitor.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := newService(t, store)
	senders := func() string {
		t.Helper()
		s.forget()
		var nodes []struct {
			Senders json.RawMessage `json:"senders"`
		}
		w := do(s, "GET", "/api/nodes")
		wantStatus(t, w, 200)
		if err := json.Unmarshal(w.Body.Bytes(), &nodes); err != nil || len(nodes) != 1 {
			t.Fatalf("%v in %s", err, w.Body)
		}
		return string(nodes[0].Senders)
	}
	turns := byTurns(20*time.Minute, "1", "2")
	fold(t, store, turns[:12]...)
	if got := senders(); got != "" || strings.Contains(do(s, "GET", "/").Body.String(), "doubled") {
		t.Errorf("shown after one heartbeat of each: %s", got)
	}
	fold(t, store, turns[12:]...)
	if got, want := senders(), `["203.0.113.5","203.0.113.9"]`; got != want {
		t.Errorf("senders %s, want %s", got, want)
	}
	wantText(t, do(s, "GET", "/"), `</span> Several senders use this id: <bdi>203.0.113.5, 203.0.113.9</bdi></span>`)
	wantText(t, do(s, "GET", "/?lang=ru"), `</span> У этого ID несколько отправителей: <bdi>203.0.113.5, 203.0.113.9</bdi></span>`)

	// Both fall silent: it is over when the observation clock is an hour further, although nothing is written.
	var silence []node.Message
	for i := range 365 {
		silence = append(silence, node.Message{Seq: uint64(len(turns) + i + 1), Stamp: ago(time.Duration(-i*10) * time.Second)})
	}
	fold(t, store, silence...)
	if got := senders(); got != "" {
		t.Errorf("an hour later still %s", got)
	}
}

func TestSeveralSendersInWords(t *testing.T) {
	for _, tt := range []struct{ a, b, text string }{
		{"1", "2", english.Senders}, {"1", "", english.Senders}, {"1", "1", english.Clones}, {"", "", english.SendersMaybe},
	} {
		store := newFakeStore(doubled(tt.a, tt.b))
		wantText(t, do(newService(t, store), "GET", "/"), "</span> "+tt.text+": <bdi>203.0.113.5, 203.0.113.9</bdi>")
	}
}
