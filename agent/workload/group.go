package workload

import (
	"cmp"
	"context"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
)

// member is a process of a node.
type member struct {
	proc.Process
	pattern *Pattern
	dir     string
	forked  bool // from another of the same role
	stray   bool // nothing but an ancestor makes it part of a node
}

// group is the processes of one node.
type group struct {
	dir       string // "" when it cannot be seen
	container string // its id
	members   []*member
}

// scan finds all processes that a profile knows, oldest first.
func scan(ctx context.Context, table *proc.Table, p *Profile) ([]*member, error) {
	type hit struct{ pid, pattern int }
	var hits []hit
	err := table.Scan(ctx, func(pid int, line []byte) bool {
		name := program(line)
		for i := range p.Processes {
			if p.Processes[i].fits(name, line) {
				hits = append(hits, hit{pid, i})
				break
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	var members []*member
	for _, h := range hits {
		process, ok := table.Process(h.pid)
		pattern := &p.Processes[h.pattern]
		if !ok || !pattern.runs(process.Args) {
			continue
		}
		dir, ok := pattern.dir(&process)
		members = append(members, &member{Process: process, pattern: pattern, dir: dir, stray: !ok})
	}
	slices.SortFunc(members, func(a, b *member) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.PID, b.PID))
	})
	return members, nil
}

// groups puts together what descends from one process, what has the same directory, and a tee with the job it is part
// of.
func groups(table *proc.Table, members []*member) []*group {
	byPID := make(map[int]*member, len(members))
	for _, m := range members {
		byPID[m.PID] = m
	}
	top := make(map[*member]*member, len(members)) // the eldest ancestor that is a member
	for _, m := range members {
		top[m] = m
		for _, pid := range table.Ancestors(m.PID) {
			if a := byPID[pid]; a != nil {
				top[m] = a
				m.forked = m.forked || a.pattern.Role == m.pattern.Role
			}
		}
	}
	families := make(map[*member]*group)
	var all []*group
	for _, m := range members {
		g := families[top[m]]
		if g == nil {
			g = &group{container: top[m].Container}
			families[top[m]] = g
			all = append(all, g)
		}
		g.members = append(g.members, m)
	}
	all = slices.DeleteFunc(all, func(g *group) bool {
		return !slices.ContainsFunc(g.members, func(m *member) bool { return !m.stray })
	})
	for _, g := range all {
		g.dir = g.findDir()
	}
	return join(all)
}

// findDir asks the members in the order of what is sure about them.
func (g *group) findDir() string {
	for _, role := range []string{roleLauncher, roleScript, roleWeb, rolePeer} {
		for _, m := range g.members {
			if m.pattern.Role == role && m.dir != "" {
				return m.dir
			}
		}
	}
	return ""
}

// join puts families with one directory together, tees with the job that they are part of, and leftovers whose
// directory cannot be seen with the only node there is.
func join(families []*group) []*group {
	var all []*group
	for _, g := range families {
		if same := slices.IndexFunc(all, func(o *group) bool { return o.belongs(g) }); same >= 0 {
			all[same].members = append(all[same].members, g.members...)
			continue
		}
		all = append(all, g)
	}
	whole := all[:0:0]
	var parts []*group
	for _, g := range all {
		if g.has(roleLauncher) || g.has(roleScript) {
			whole = append(whole, g)
		} else {
			parts = append(parts, g)
		}
	}
	for _, part := range parts {
		for _, m := range part.members {
			if m.pattern.Role == roleTee {
				if i := slices.IndexFunc(whole, func(g *group) bool { return g.inJob(m) }); i >= 0 {
					whole[i].members = append(whole[i].members, m)
				}
			}
		}
	}
	parts = slices.DeleteFunc(parts, func(g *group) bool { return !g.has(rolePeer) && !g.has(roleWeb) })
	return append(whole, parts...)
}

// belongs reports whether o is part of g by its directory.
func (g *group) belongs(o *group) bool {
	return g.dir != "" && g.dir == o.dir && g.container == o.container && !o.onlyTees() && !g.onlyTees()
}

func (g *group) onlyTees() bool {
	return !slices.ContainsFunc(g.members, func(m *member) bool { return m.pattern.Role != roleTee })
}

// inJob reports whether a tee is in the same process group as the script or the launcher.
func (g *group) inJob(tee *member) bool {
	return slices.ContainsFunc(g.members, func(m *member) bool {
		return m.Group == tee.Group && (m.pattern.Role == roleScript || m.pattern.Role == roleLauncher)
	})
}

func (g *group) has(role string) bool { return len(g.of(role)) > 0 }

// of lists the members with a role, oldest first.
func (g *group) of(role string) []*member {
	var out []*member
	for _, m := range g.members {
		if m.pattern.Role == role {
			out = append(out, m)
		}
	}
	return out
}

// main is the process that a node's directories are seen through: the launcher, or the script, or any.
func (g *group) main() *member {
	for _, role := range []string{roleLauncher, roleScript, rolePeer} {
		if of := g.of(role); len(of) > 0 {
			return of[0]
		}
	}
	return g.members[0]
}
