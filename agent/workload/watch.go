package workload

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/host"
	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
	"github.com/gensyn-monitor/gensyn-monitor/agent/peer"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// Options are the parts of a Watcher; all are required but StateFile, Logs and Engine.
type Options struct {
	Profile   *Profile
	Table     *proc.Table
	Proc      string           // the proc file system, for what is not about processes
	StateFile string           // where memories are kept; "": only in memory
	Logs      []string         // more logs, with their whole paths
	Engine    string           // where a container engine keeps what containers print, such as /var/lib/docker/containers
	Now       func() time.Time // of this machine's clock
}

// Watcher looks at all nodes of a workload on one machine. It is used by one goroutine at a time.
type Watcher struct {
	Options
	nodes []*Memory
	saved []byte // what the state file holds
	lists peer.Lists
}

// Node is what a look found of one node. Its texts hold no secrets.
type Node struct {
	Name     string // "" when no node was ever found
	View     View
	Status   string
	Reason   string
	Workload contract.Workload
	Log      []string
	Seen     []Sight // what was looked at
}

// Sight is one thing that was looked at.
type Sight struct {
	What string
	Saw  string
	OK   bool
	Not  bool // it could not be looked at
}

// New makes a watcher, with the memories of its state file. A file that cannot be read is an error, unless it is
// missing; one that makes no sense is as good as missing.
func New(o Options) (*Watcher, error) {
	w := &Watcher{Options: o}
	if err := w.load(); err != nil {
		return nil, err
	}
	return w, nil
}

// Look looks at everything once. The error says why nothing could be seen.
func (w *Watcher) Look(ctx context.Context) ([]Node, error) {
	w.reconcile()
	members, err := scan(ctx, w.Table, w.Profile)
	if err != nil {
		return nil, err
	}
	found := groups(w.Table, members)
	looks := w.assign(found)
	for _, l := range looks {
		l.before = l.memory.Looked
		l.memory.look(l.now)
		if l.group != nil {
			w.observe(l)
		}
	}
	w.readLogs(looks)
	var nodes []Node
	for _, l := range looks {
		nodes = append(nodes, w.judge(l))
	}
	if len(nodes) == 0 {
		nodes = []Node{w.none(found)}
	}
	if err := w.save(); err != nil {
		nodes[0].Seen = append(nodes[0].Seen, Sight{What: "state file", Saw: err.Error()})
	}
	return nodes, ctx.Err()
}

// Names are those of the nodes that are known.
func (w *Watcher) Names() []string {
	var names []string
	for _, m := range w.nodes {
		names = append(names, m.Name)
	}
	return names
}

// Forget drops a node that is gone.
func (w *Watcher) Forget(name string) error {
	i := slices.IndexFunc(w.nodes, func(m *Memory) bool { return m.Name == name })
	if i < 0 {
		return fmt.Errorf("no node %q is known; known: %s", name, strings.Join(w.Names(), ", "))
	}
	w.nodes = slices.Delete(w.nodes, i, i+1)
	return w.save()
}

// look is one look at one node.
type look struct {
	now    time.Time
	memory *Memory
	group  *group  // nil when the node has no process
	main   *member // the launcher, or what there is
	facts  Facts
	seen   []Sight

	before   time.Time // when it was looked at before, zero for never
	replaced bool      // the launcher is another one than at the look before
}

// identity is the id of the peer of a group, "" when its key cannot be read.
func (w *Watcher) identity(g *group) string {
	for _, name := range w.Profile.Identity {
		if id, err := peer.ReadID(w.path(g, name)); err == nil {
			return id
		}
	}
	return ""
}

// path is where a file of a node is found.
func (w *Watcher) path(g *group, name string) string {
	return w.Table.Path(g.main().Process, filepath.Join(g.dir, filepath.FromSlash(name)))
}

// judge puts together what is known of a node.
func (w *Watcher) judge(l *look) Node {
	m := l.memory
	l.facts.OOMKills = w.oomKills()
	if l.facts.Launcher != "" {
		m.OOMKills = l.facts.OOMKills
	}
	v := Judge(w.Profile, m, &l.facts)
	if v.Phase != m.Phase {
		m.Phase, m.Since = v.Phase, l.now
	}
	n := Node{Name: m.Name, View: v, Workload: w.workload(l), Log: mask.Lines(m.lines), Seen: l.seen}
	w.finish(&n)
	return n
}

// finish says what the phase means, and hides secrets.
func (w *Watcher) finish(n *Node) {
	j := w.Profile.Phases[n.View.Phase]
	n.Status, n.Reason = j.Status, cmp.Or(n.View.Reason, j.Reason)
	n.View.Evidence = mask.Text(n.View.Evidence)
}

// none is the report of a machine without any node.
func (w *Watcher) none(found []*group) Node {
	f := Facts{Now: w.Now().Round(0)}
	for _, g := range found {
		f.Left = leftovers(g)
	}
	n := Node{View: Judge(w.Profile, new(Memory), &f), Workload: contract.Workload{Kind: w.Profile.Name, Phase: string(Down)}}
	n.Seen = []Sight{{What: "processes of " + w.Profile.Name, Saw: n.View.Evidence}}
	w.finish(&n)
	return n
}

// workload tells what is known of a node.
func (w *Watcher) workload(l *look) contract.Workload {
	m := l.memory
	out := contract.Workload{
		Kind: w.Profile.Name, Phase: string(m.Phase), PhaseSec: whole(l.now.Sub(m.Since)), Round: m.Round,
		PeerID: m.PeerID, PeerName: m.PeerName, Model: mask.Text(m.Model), Version: m.Version, Dir: m.Dir, Restarts: m.Restarts,
	}
	if last := later(m.RoundSeen.At, m.Wait.At); !last.IsZero() {
		out.RoundAgeSec = whole(l.now.Sub(last))
	}
	if m.Phase == Waiting {
		out.NextSec = whole(m.WaitUntil.Sub(l.now))
	}
	if l.group == nil {
		return out
	}
	out.Supervisor = w.Table.Supervisor(l.main.Process)
	out.UptimeSec = whole(l.main.Age)
	for _, p := range l.group.members {
		out.RSSBytes += p.RSS
	}
	if m.Dir != "" {
		if out.Disk = host.Disk(w.path(l.group, "")); out.Disk != nil {
			out.Disk.Path = m.Dir
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func whole(d time.Duration) float64 { return max(float64(int64(d.Seconds())), 0) }
