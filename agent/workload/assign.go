package workload

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
)

// assign finds the memory of each group, and makes one for a new node. Leftovers make no node.
func (w *Watcher) assign(found []*group) []*look {
	now := w.Now().Round(0)
	groupOf := make(map[*Memory]*group)
	// Who has a directory chooses first.
	slices.SortStableFunc(found, func(a, b *group) int { return cmp.Compare(btoi(a.dir == ""), btoi(b.dir == "")) })
	for _, g := range found {
		m := w.memoryOf(g, found, groupOf)
		if m == nil && (g.has(roleLauncher) || g.has(roleScript)) {
			m = &Memory{Name: w.newName(g), Dir: g.dir, Container: g.container != ""}
			w.nodes = append(w.nodes, m)
		}
		if m != nil {
			groupOf[m] = g
		}
	}
	var looks []*look
	for _, m := range w.nodes {
		looks = append(looks, &look{now: now, memory: m, group: groupOf[m], facts: Facts{Now: now}})
	}
	return looks
}

// memoryOf finds the memory of a group: by its directory, among containers with one directory by the peer. A group whose
// directory cannot be seen gets a memory that no other group has, and a memory without a directory is completed.
func (w *Watcher) memoryOf(g *group, found []*group, taken map[*Memory]*group) *Memory {
	var fit []*Memory
	for _, m := range w.nodes {
		if taken[m] == nil && m.Container == (g.container != "") && (m.Dir == g.dir || m.Dir == "" || g.dir == "") {
			fit = append(fit, m)
		}
	}
	alike := 0
	for _, o := range found {
		if o.dir == g.dir && (o.container == "") == (g.container == "") {
			alike++
		}
	}
	if g.container != "" && (len(fit) > 1 || alike > 1) {
		id := w.identity(g)
		if i := slices.IndexFunc(fit, func(m *Memory) bool { return id != "" && m.PeerID == id }); i >= 0 {
			return fit[i]
		}
		if alike > 1 && id != "" {
			fit = slices.DeleteFunc(fit, func(m *Memory) bool { return m.PeerID != "" })
		}
	}
	if i := slices.IndexFunc(fit, func(m *Memory) bool { return m.Dir == g.dir || g.dir == "" }); i >= 0 {
		return fit[i]
	}
	if len(fit) > 0 && (g.has(roleLauncher) || g.has(roleScript)) {
		fit[0].Dir = g.dir
		return fit[0]
	}
	return nil
}

// newName is the last part of a directory, with a number when it is taken.
func (w *Watcher) newName(g *group) string {
	name := w.Profile.Name
	if g.dir != "" && g.dir != string(filepath.Separator) {
		name = filepath.Base(g.dir)
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(w.nodes, func(m *Memory) bool { return m.Name == name })
	}
	if !taken(name) {
		return name
	}
	for i := 2; ; i++ {
		if numbered := name + "-" + strconv.Itoa(i); !taken(numbered) {
			return numbered
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
