package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
	"github.com/gensyn-monitor/gensyn-monitor/agent/workload"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// nodesFile is where the nodes of a machine are remembered.
const nodesFile = "nodes.json"

// swarm finds and judges the nodes of a machine by a workload's profile.
type swarm struct {
	watcher *workload.Watcher
	kind    string
	proc    string
	hidden  bool // whether processes of other users are hidden from this one
}

func (r *reader) swarm(host Host) Profile {
	profile := r.profile("PROFILE_FILE")
	if r.err != nil {
		return nil
	}
	r.limit("START_GRACE_SEC", &profile.Limits.StartSec)
	r.limit("STALL_SEC", &profile.Limits.StallSec)
	o := workload.Options{
		Profile: profile, Table: proc.Open(host.Proc, nil), Proc: host.Proc, Logs: r.paths("LOG_FILES"), Now: host.Now,
		Engine: "/var/lib/docker/containers",
	}
	if host.StateDir != "" {
		o.StateFile = filepath.Join(host.StateDir, nodesFile)
	}
	w, err := workload.New(o)
	if err != nil {
		r.fail(err)
		return nil
	}
	return &swarm{watcher: w, kind: profile.Name, proc: host.Proc, hidden: hidden(host.Proc)}
}

// hidden reports whether the proc file system hides the processes of others, as its option hidepid does.
func hidden(root string) bool {
	if _, err := os.Stat(filepath.Join(root, "self")); err != nil {
		return false // none, or made by a test
	}
	_, err := os.ReadFile(filepath.Join(root, "1", "cmdline"))
	return err != nil
}

// profile reads a file over the built-in profile.
func (r *reader) profile(name string) *workload.Profile {
	var override []byte
	if file := r.text(name); file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			r.fail(fmt.Errorf("%s: %w", name, err))
			return nil
		}
		override = data
	}
	p, err := workload.Load(override)
	if err != nil {
		r.fail(fmt.Errorf("%s=%q is not allowed: %w", name, r.text(name), err))
		return nil
	}
	return p
}

// limit replaces a span in seconds when it is set.
func (r *reader) limit(name string, to *int) {
	v := r.text(name)
	if v == "" {
		return
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > math.MaxInt32 {
		r.refuse(name, "a number of seconds, 1 or more")
		return
	}
	*to = n
}

// Probe implements Profile.
func (s *swarm) Probe(ctx context.Context) ([]Report, []Finding) {
	nodes, err := s.watcher.Look(ctx)
	if err != nil {
		return s.blind(err)
	}
	var reports []Report
	var findings []Finding
	if s.hidden {
		findings = append(findings, Finding{"processes of other users", "they are hidden (/proc has the option hidepid)", VerdictUnseen, mendUnseen})
	}
	for _, n := range nodes {
		if s.hidden && n.Name == "" {
			// A node of another user may run here: nobody knows.
			n.Status, n.Reason = StatusDegraded, ReasonUnseen
			n.View.Evidence += "; processes of other users are hidden from the agent"
		}
		reports = append(reports, Report{
			Name: n.Name, Status: n.Status, Reason: n.Reason, Evidence: n.View.Evidence, Workload: n.Workload, Log: n.Log,
		})
		findings = append(findings, s.findings(n)...)
	}
	return reports, findings
}

// blind reports of the nodes that are known, or of one without a name, that nobody knows how they are. To call them down
// would alarm people, and restart nodes, whenever a machine is too busy to list its processes.
func (s *swarm) blind(err error) ([]Report, []Finding) {
	names := s.watcher.Names()
	if len(names) == 0 {
		names = []string{""}
	}
	r := Report{
		Status: StatusDegraded, Reason: ReasonUnseen, Evidence: fmt.Sprintf("the processes cannot be listed: %v", err),
		Workload: contract.Workload{Kind: s.kind},
	}
	if errors.Is(err, fs.ErrNotExist) {
		r.Reason = ReasonUnsupported
	}
	var reports []Report
	for _, name := range names {
		r.Name = name
		reports = append(reports, r)
	}
	return reports, []Finding{{"processes", r.Evidence, VerdictUnseen, mendUnseen}}
}

// findings are what was looked at of one node, and what it is thought to do.
func (s *swarm) findings(n workload.Node) []Finding {
	prefix := ""
	if n.Name != "" {
		prefix = n.Name + ": "
	}
	var all []Finding
	for _, seen := range n.Seen {
		f := Finding{Probe: prefix + seen.What, Saw: seen.Saw, Verdict: VerdictOK}
		switch {
		case seen.Not:
			f.Verdict, f.Mend = VerdictUnseen, mendUnseen
		case !seen.OK:
			f.Verdict, f.Mend = VerdictFailed, mendSight[seen.What]
		}
		all = append(all, f)
	}
	f := Finding{Probe: prefix + "phase", Saw: string(n.View.Phase) + ": " + n.View.Evidence, Verdict: VerdictOK}
	if n.Status != StatusUp {
		f.Verdict, f.Mend = VerdictFailed, mend(n)
	}
	return append(all, f)
}

// mendSight says what to do about what was not found.
var mendSight = map[string]string{
	"logs":       "name the node's logs in LOG_FILES",
	"state file": "let the agent write into its state directory",
	"names":      "put back the file as the node's checkout had it",
}

// mends are what to do in each phase that is not healthy, and for some reasons in particular.
var mends = map[string]string{
	string(workload.Overdue): "look at the terminal of the script",
	string(workload.Login):   "open http://localhost:3000 on this machine and log in; from afar: ssh -L 3000:localhost:3000",
	string(workload.Prompt):  "answer the question on the terminal of the script",
	string(workload.Stalled): "look at the last lines of its log; restart the node if they do not move",
	string(workload.NoPeer):  "restart the node: without p2pd it reaches nobody",
	string(workload.Crashed): "restart the node",
	string(workload.Down):    "start the node",
	"out_of_memory":          "free memory, or choose a smaller model, and restart the node",
	"identity_taken":         "end the p2pd that is left over, or use another swarm.pem: two nodes may not share one",
	"p2p_failed":             "see whether the bootstrap nodes can be reached, and restart the node",
	"not_earning":            "look at logs/yarn.log: what the node submits is refused",
}

func mend(n workload.Node) string {
	if m := mends[n.Reason]; m != "" {
		return m
	}
	if m := mends[string(n.View.Phase)]; m != "" {
		return m
	}
	return "look at the node"
}

// Forget implements Profile.
func (s *swarm) Forget(name string) error { return s.watcher.Forget(name) }
