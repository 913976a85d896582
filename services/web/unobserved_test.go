package web

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// While nothing is folded, the page does not claim that nodes are what they were last.
func TestWhatIsNotFoldedDoesNotCountAsUptime(t *testing.T) {
	store := newFakeStore(sample()...)
	store.turns = map[string][]node.Event{"alpha": {{Kind: node.Joined, NodeID: "alpha", To: node.Up, At: ago(100 * 24 * time.Hour)}}}
	store.spans = []node.Span{{ID: node.EventID{Epoch: 1, Seq: 5}, From: ago(5 * time.Hour), To: ago(4 * time.Hour)}}
	for folded, want := range map[time.Duration]time.Duration{ // ago
		5 * time.Second: time.Hour, 6 * time.Hour: 6*time.Hour - 10*time.Second,
	} {
		store.status.Clock.Batch = ago(folded)
		w := do(newService(t, store), "GET", nodesPath+"/alpha")
		wantStatus(t, w, 200)
		var got struct{ Uptime map[string]uptimeJSON }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		day := got.Uptime["24h"]
		if day.Unobserved != want.Seconds() || day.Up != (24*time.Hour-want).Seconds() || *day.Share != 1 {
			t.Errorf("folded %v ago: %+v, want %v s unobserved", folded, day, want.Seconds())
		}
	}
}
