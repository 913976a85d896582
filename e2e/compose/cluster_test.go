package compose

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/audit"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// With three NATS servers each may crash, and each may be replaced, while heartbeats go on.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("natsfaults loses servers of a cluster, too; that the overlay starts is for the whole suite")
	}
	d := deploy(t, "gensyn-monitor-e2e-cluster", "compose.cluster.yaml")
	begun := time.Now()
	d.up()
	t.Logf("up and healthy after %v", time.Since(begun).Round(time.Second))
	for _, name := range []string{"nats", "nats-2", "nats-3"} {
		if strings.Contains(logged(t, d.of(name)[0].ID), d.made("made/nats-cluster")) {
			t.Errorf("the log of %s shows the cluster's password", name)
		}
	}
	w := newWorld(t, d)
	eventually(t, time.Minute, "all nodes are up", w.allUp)

	var slowest time.Duration
	for _, name := range []string{"nats", "nats-2", "nats-3"} {
		c := d.of(name)[0]
		before := w.fleet.Answers()[http.StatusOK]
		d.kill(c)
		killed := time.Now()
		// Two servers go on alone; the third is started by the engine meanwhile.
		eventually(t, 30*time.Second, "heartbeats go on", func() bool { return w.fleet.Answers()[http.StatusOK] >= before+3*nodes })
		slowest = max(slowest, time.Since(killed)-3*time.Second)
		d.revived(c)
	}
	w.compose("stop", "ingest-a", "ingest-b")
	truth := w.fleet.Truth()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in := audit.Input{
		NATSURL: d.nats("evaluator"), DatabaseURL: d.database("evaluator"), Truth: truth,
		Settings: node.Settings{Threshold: threshold, MaxNodes: 100_000},
	}
	if err := audit.Settle(ctx, in); err != nil {
		t.Fatal(err)
	}
	in.Messages = w.telegram.Messages()
	v, err := audit.Run(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := v.Errors(); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
	reliability.Report(t, reliability.Row{
		Group: "Containers", Fault: "each of three NATS servers crashes in turn (compose.cluster.yaml), while 40 nodes report", Rounds: 3,
		Must: "heartbeats are accepted again within 30 s each time; nothing lost, no false DOWN or LOST",
		Seen: fmt.Sprintf("accepted again after %.0f s at most; %s", max(slowest, 0).Seconds(), v),
	})
}
