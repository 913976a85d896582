package workload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
)

// observe fills the facts from the processes of a node.
func (w *Watcher) observe(l *look) {
	m, g, f := l.memory, l.group, &l.facts
	l.main = g.main()
	if launcher := current(g, m); launcher != nil {
		f.Launcher = describe(launcher)
		l.replaced = m.launcher(launcher.Age, launcher.Begin, launcher.PID, forks(g, m, launcher))
		l.main = launcher
		m.Version = w.version(g, launcher)
	} else {
		f.Left = leftovers(g)
	}
	if scripts := g.of(roleScript); len(scripts) > 0 {
		f.Script, f.ScriptAge = describe(scripts[0]), scripts[0].Age
		// Asleep in a read of a terminal: the names of the function in new and old kernels.
		waits := w.Table.Waits(scripts[0].PID)
		f.Asks = waits == "n_tty_read" || waits == "wait_woken"
	}
	f.Peer, f.Web = g.has(rolePeer), g.has(roleWeb)
	m.SawPeer = m.SawPeer || f.Launcher != "" && f.Peer
	if f.Launcher == "" && f.Script != "" {
		f.Login = w.login(g)
	}
	w.identify(l)
	l.see("processes", processes(g), f.Launcher != "" || f.Script != "")
}

// version is that of the launcher, with the commit that is checked out, as far as it can be read.
func (w *Watcher) version(g *group, launcher *member) string {
	version := launcher.pattern.Version
	if g.dir == "" {
		return version
	}
	head, err := os.ReadFile(w.path(g, ".git/HEAD"))
	if err != nil {
		return version
	}
	commit := strings.TrimSpace(string(head))
	if ref, ok := strings.CutPrefix(commit, "ref: "); ok && filepath.IsLocal(ref) {
		data, err := os.ReadFile(w.path(g, ".git/"+ref))
		if err != nil {
			return version
		}
		commit = strings.TrimSpace(string(data))
	}
	if len(commit) < 12 || strings.Trim(commit, "0123456789abcdef") != "" {
		return version
	}
	return strings.TrimSpace(version + " " + commit[:12])
}

// current is the launcher that works: not a fork that outlived its parent.
func current(g *group, m *Memory) *member {
	var newest *member
	for _, launcher := range g.of(roleLauncher) {
		if !launcher.forked && !slices.Contains(m.Forks, launcher.PID) && (newest == nil || launcher.Age < newest.Age) {
			newest = launcher
		}
	}
	return newest
}

// forks are the other launchers of a group that are forks, also of one that is gone.
func forks(g *group, m *Memory, launcher *member) []int {
	var pids []int
	for _, other := range g.of(roleLauncher) {
		if other != launcher && (other.forked || slices.Contains(m.Forks, other.PID)) {
			pids = append(pids, other.PID)
		}
	}
	return pids
}

func describe(m *member) string {
	return fmt.Sprintf("%s (process %d)", m.pattern.Role, m.PID)
}

// leftovers says what runs although the launcher is gone.
func leftovers(g *group) string {
	var left []string
	for _, m := range g.members {
		if m.pattern.Role != roleTee && m.pattern.Role != roleScript {
			left = append(left, fmt.Sprintf("%s (process %d)", filepath.Base(m.Args[0]), m.PID))
		}
	}
	return strings.Join(left[:min(len(left), 4)], ", ")
}

func processes(g *group) string {
	var all []string
	for _, m := range g.members {
		text := describe(m)
		if m.pattern.Version != "" {
			text += " of version " + m.pattern.Version
		}
		all = append(all, text)
	}
	return strings.Join(all[:min(len(all), 8)], ", ")
}

func (l *look) see(what, saw string, ok bool) {
	l.seen = append(l.seen, Sight{What: what, Saw: mask.Text(saw), OK: ok})
}

// unseen notes what could not be looked at.
func (l *look) unseen(what string, err error) {
	saw := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		saw = "this user may not see it"
	}
	l.seen = append(l.seen, Sight{What: what, Saw: saw, Not: true})
}

// login reads the login files.
func (w *Watcher) login(g *group) LoginState {
	files := w.Profile.Login
	if files == nil || g.dir == "" {
		return LoginUnknown
	}
	user := w.path(g, files.User)
	// When even its directory is missing, this is no place of login files.
	if _, err := os.Stat(filepath.Dir(filepath.Dir(user))); err != nil {
		return LoginUnknown
	}
	if _, err := os.Stat(user); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return LoginMissing
		}
		return LoginUnknown
	}
	key, err := os.ReadFile(w.path(g, files.Key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return LoginPending
	case err != nil:
		return LoginUnknown
	case files.pending.Match(key):
		return LoginPending
	case files.done.Match(key):
		return LoginDone
	}
	return LoginUnknown
}

// oomKills reads how many processes the kernel has killed for want of memory since boot.
func (w *Watcher) oomKills() int64 {
	data, err := os.ReadFile(filepath.Join(w.Proc, "vmstat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}
