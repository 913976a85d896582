package probe

import (
	"context"
	"runtime"
	"strconv"
)

// legacy is the check of the first agents: a screen session, a process and a port.
type legacy struct{ probes []looked }

func (r *reader) legacy(host Host) Profile {
	p := new(legacy)
	// The first agent for Windows knew of no screen either.
	if runtime.GOOS != "windows" {
		p.probes = append(p.probes, screenNamed(r.session("SCREEN_NAME"), host))
	}
	p.probes = append(p.probes, looked{
		&Process{Pattern: RLSwarm, Root: host.Proc, Self: host.Self}, "process like " + RLSwarm.String(), "start the node",
	})
	if r.text("CHECK_PORT") == "true" {
		p.probes = append(p.probes, portNumbered(r.port("PORT")))
	}
	return p
}

func screenNamed(name string, host Host) looked {
	return looked{
		&Screen{Name: name, Sockets: "/run/screen/S-*", ProcRoot: host.Proc, List: ListScreens},
		"screen session ." + name, "start the node in it: screen -S " + name + ", or set SCREEN_NAME",
	}
}

func portNumbered(n int) looked {
	return looked{&Port{Number: n}, "port " + strconv.Itoa(n), "see whether the node's web login runs, set PORT, or set CHECK_PORT=false"}
}

// Probe implements Profile.
func (l *legacy) Probe(ctx context.Context) ([]Report, []Finding) {
	results, findings := look(ctx, l.probes)
	report := Report{Status: StatusUp}
	for i := range results {
		// What the first agents did not see was missing.
		results[i].Blind = results[i].Blind && results[i].Reason == ReasonUnsupported
	}
	if v := Verdict(results); !v.Passed() {
		report.Status, report.Reason, report.Evidence = StatusDown, v.Reason, v.Evidence
	}
	return []Report{report}, findings
}

// Forget implements Profile.
func (l *legacy) Forget(name string) error { return oneNode(name) }
