package probe

import (
	"cmp"
	"context"
	"fmt"
)

// looked is a probe with its name for people and what mends it.
type looked struct {
	Probe
	name, mend string
}

const mendUnseen = "run the agent as root, or as the user that the node runs as"

// look runs probes and says for each what it saw.
func look(ctx context.Context, probes []looked) ([]Result, []Finding) {
	checks := make([]Probe, len(probes))
	for i, p := range probes {
		checks[i] = p
	}
	results := CheckAll(ctx, checks)
	findings := make([]Finding, len(probes))
	for i, p := range probes {
		r := results[i]
		f := Finding{Probe: p.name, Saw: cmp.Or(r.Saw, "it is there"), Verdict: VerdictOK}
		switch {
		case r.Blind && r.Reason == ReasonUnsupported:
			f.Saw, f.Verdict = r.Evidence, VerdictUnseen
			f.Mend = "leave it out on this system"
		case r.Blind:
			f.Saw, f.Verdict, f.Mend = r.Evidence, VerdictUnseen, mendUnseen
		case !r.Passed():
			f.Saw, f.Verdict, f.Mend = r.Evidence, VerdictFailed, p.mend
		}
		findings[i] = f
	}
	return results, findings
}

func oneNode(name string) error {
	return fmt.Errorf("no node %q is known: this profile knows one without a name", name)
}
