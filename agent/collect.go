package agent

import (
	"context"
	"encoding/json"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// report is what was found of one node, with its id.
type report struct {
	probe.Report
	id string
}

// Collect looks at the nodes of this machine. interval is that between heartbeats, 0 when there is none.
func (a *Agent) Collect(ctx context.Context, interval time.Duration) []contract.Heartbeat {
	return a.heartbeats(ctx, a.look(ctx), interval)
}

// sight is what one look at this machine found.
type sight struct {
	reports []report
	address string
}

// look finds the nodes of this machine, and its address beside. What it finds when ctx ends means nothing.
func (a *Agent) look(ctx context.Context) sight {
	address := make(chan string, 1)
	go func() { address <- a.Address(ctx) }()
	found, _ := a.Profile.Probe(ctx)
	if ctx.Err() != nil {
		return sight{}
	}
	names := make([]string, len(found))
	for i, r := range found {
		names[i] = r.Name
	}
	ids := a.State.identify(a.Config.NodeID, names)
	out := make([]report, len(found))
	for i, r := range found {
		out[i] = report{r, ids[r.Name]}
	}
	return sight{out, <-address}
}

// heartbeats makes a heartbeat of each report.
func (a *Agent) heartbeats(ctx context.Context, s sight, interval time.Duration) []contract.Heartbeat {
	boot, seq := a.Boot()
	metrics := a.metrics(ctx)
	out := make([]contract.Heartbeat, len(s.reports))
	for i, r := range s.reports {
		out[i] = contract.Heartbeat{
			NodeID:      r.id,
			IP:          s.address,
			Meta:        cutBytes(a.Config.Meta, contract.MaxMetaBytes),
			Status:      r.Status,
			Reason:      r.Reason,
			Evidence:    cutBytes(r.Evidence, contract.MaxEvidenceBytes),
			IntervalSec: interval.Seconds(),
			BootID:      boot,
			Seq:         seq,
			Agent:       contract.Agent{Version: a.Version, OS: runtime.GOOS, Arch: runtime.GOARCH},
			Metrics:     metrics,
			Workload:    object(a.workload(r)),
		}
	}
	return out
}

func (a *Agent) metrics(ctx context.Context) json.RawMessage {
	if a.Metrics == nil {
		return nil
	}
	m := a.Metrics(ctx)
	if offset, ok := a.Offset(); ok {
		m.ClockOffsetSec = new(offset.Seconds())
	}
	return object(m)
}

// workload is that of a report, with the last run of ON_DOWN_CMD for the node.
func (a *Agent) workload(r report) contract.Workload {
	r.Workload.OnDown = a.runs[r.id]
	return r.Workload
}

// object encodes a report of the agent's. One without anything known is left out, as is one that is too long.
func object(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil || len(data) > contract.MaxReportBytes || string(data) == "{}" {
		return nil
	}
	return data
}

// cutBytes shortens a text to what the monitor keeps of it: too much of it would make it refuse the whole heartbeat.
func cutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const more = "…"
	most -= len(more)
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + more
}
