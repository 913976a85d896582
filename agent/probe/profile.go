package probe

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// The statuses of a Report, as heartbeats carry them.
const (
	StatusUp       = "UP"
	StatusDegraded = "DEGRADED"
	StatusDown     = "DOWN"
)

// Report is how one node of this machine is.
type Report struct {
	// Name tells the nodes of one machine apart. It stays the same for a node as long as its directory does, and is ""
	// where a profile knows of one node only.
	Name     string
	Status   string // StatusUp, StatusDegraded or StatusDown
	Reason   string // a short code, also for StatusUp where the profile knows phases
	Evidence string // the line that shows it, without secrets
	Workload contract.Workload
	Log      []string // the last lines of its logs, without secrets
}

// The verdicts of a Finding.
const (
	VerdictOK     = "ok"
	VerdictFailed = "failed"
	VerdictUnseen = "unseen" // it could not be looked at, for example without root
)

// Finding is one line for whoever wants to know what a profile looked at.
type Finding struct {
	Probe   string // what was looked at
	Saw     string // what was there
	Verdict string // VerdictOK, VerdictFailed or VerdictUnseen
	Mend    string // what to do about it, "" when nothing
}

// Profile knows what makes the nodes of a machine work. It is used by one goroutine at a time. Probe returns at least
// one report, and soon after ctx ends; its reports mean nothing then. A node that was found once and is gone is
// reported down until Forget.
type Profile interface {
	Probe(ctx context.Context) ([]Report, []Finding)
	// Forget ends the reports of a node that is gone. The error names the nodes that are known.
	Forget(name string) error
}

// Host is the machine that is looked at. Its zero value is this one, and nothing is kept between runs.
type Host struct {
	Proc     string           // the proc file system; "": /proc
	Self     int              // the id of this process; 0: it is asked
	StateDir string           // where positions in logs and known nodes are kept; "": in memory alone
	Now      func() time.Time // nil: time.Now
}

// filled is h without zero values.
func (h Host) filled() Host {
	if h.Proc == "" {
		h.Proc = "/proc"
	}
	if h.Self == 0 {
		h.Self = os.Getpid()
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	return h
}

// The profiles.
const (
	ProfileSwarm   = "rl-swarm" // finds the nodes of RL-Swarm and knows their phases
	ProfileLegacy  = "legacy"   // is the check of the first agents
	ProfileGeneric = "generic"  // checks what is set
)

// Profiles are the names that PROFILE may have.
var Profiles = []string{ProfileSwarm, ProfileLegacy, ProfileGeneric}

// Open makes the profile that settings name, those of the environment and the file, without defaults filled in: some
// profiles look only at what is set. The error is one line with the variable, its value and what is allowed.
func Open(settings map[string]string, host Host) (Profile, error) {
	r := reader{set: settings}
	host = host.filled()
	var p Profile
	switch name := r.text("PROFILE"); name {
	case ProfileSwarm:
		p = r.swarm(host)
	case ProfileLegacy:
		p = r.legacy(host)
	case ProfileGeneric:
		p = r.generic(host)
	default:
		return nil, fmt.Errorf("PROFILE=%q is not allowed: it must be one of %s", name, strings.Join(Profiles, ", "))
	}
	if r.err != nil {
		return nil, r.err
	}
	return p, nil
}
