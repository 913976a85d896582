package agent

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// TestAHeartbeatIsNeverTooLong: whatever probes and commands print, the monitor takes it. One that is refused for its
// length would be refused for ever, and its node told as lost.
func TestAHeartbeatIsNeverTooLong(t *testing.T) {
	const odd = `<"\&`
	s := newFakeServer(t, says(200, `{"ok":true}`))
	r := newRig(time.Minute)
	r.Config.NodeID = strings.Repeat("ü", contract.MaxNodeIDChars)
	r.Config.Meta = strings.Repeat(odd, 4<<10)
	r.look = func(context.Context) []probe.Report {
		return []probe.Report{{Status: probe.StatusDown, Reason: "r", Evidence: strings.Repeat(odd, 16<<10)}}
	}
	for i := range 3 * contract.MaxAnnotations {
		r.tellRun(&ondown.Result{
			NodeID: r.Config.NodeID, Begun: r.begun.Add(time.Duration(i) * time.Second), Reason: ondown.ReasonFailed,
			Exit: "exit status 1", Last: strings.Repeat(odd, 4<<10),
		})
	}
	r.Send = client(t, s.URL).Send
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := s.got()[0].body
	if len(body) > contract.MaxBodyBytes {
		t.Errorf("%d bytes, at most %d", len(body), contract.MaxBodyBytes)
	}
	var h contract.Heartbeat
	var w contract.Workload
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(h.Workload, &w); err != nil || w.OnDown == nil {
		t.Errorf("the workload got lost: %v, %.40q", err, h.Workload)
	}
	if len(h.Annotations) != contract.MaxAnnotations || !strings.HasPrefix(h.Evidence, odd) || len(h.Evidence) > contract.MaxEvidenceBytes {
		t.Errorf("%d annotations, evidence %.40q", len(h.Annotations), h.Evidence)
	}
}
