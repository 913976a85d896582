package workload

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
)

// logLimit is how much of all logs of all nodes is read in one look, in bytes.
const logLimit = 64 << 10

// source is a log of a node.
type source struct {
	look *look
	file *tail.File
	ours bool // all in it was written by this run of the node
}

// logName is a log as the node calls it.
type logName struct {
	path string
	ours bool // it was emptied when this run began
}

// readLogs reads what is new in the logs of all nodes.
func (w *Watcher) readLogs(looks []*look) {
	var sources []source
	for i, l := range looks {
		sources = append(sources, w.open(l, i == 0)...)
	}
	pending := make([]int64, len(sources))
	for i, s := range sources {
		pending[i] = s.file.Pending()
	}
	for i, share := range tail.Share(logLimit, pending) {
		w.read(sources[i], share)
	}
}

// open opens the logs of a node; the first node has the logs that belong to none by their path.
func (w *Watcher) open(l *look, first bool) []source {
	m := l.memory
	names := w.logNames(l, first)
	if l.group != nil {
		maps.DeleteFunc(m.Positions, func(path string, _ *tail.Position) bool {
			return !slices.ContainsFunc(names, func(n logName) bool { return n.path == path })
		})
	}
	if m.Positions == nil {
		m.Positions = make(map[string]*tail.Position)
	}
	var out []source
	absent := make(map[string]bool)
	var denied []string
	var why error
	for _, name := range names {
		pos := m.Positions[name.path]
		if pos == nil {
			pos = new(tail.Position)
		}
		f, err := tail.Open(w.logPath(l, name.path), pos)
		if errors.Is(err, fs.ErrNotExist) {
			absent[name.path] = true
			continue
		}
		if err != nil {
			denied, why = append(denied, name.path), err
			continue
		}
		m.Positions[name.path] = pos
		l.facts.LogsRead++
		l.see("log "+name.path, "it can be read", true)
		out = append(out, source{l, f, name.ours || m.absent[name.path]})
	}
	switch {
	case len(denied) > 0:
		l.unseen("logs "+strings.Join(denied, ", "), why)
	case l.facts.LogsRead == 0:
		l.see("logs", "none found", false)
	}
	m.absent = absent
	return out
}

// logNames are the profile's logs, the file that the script or the launcher prints to, what a tee of theirs writes,
// and those of the settings.
func (w *Watcher) logNames(l *look, first bool) []logName {
	var names []logName
	add := func(path string, ours bool) {
		path = filepath.Clean(path)
		if filepath.IsAbs(path) && !slices.ContainsFunc(names, func(n logName) bool { return n.path == path }) {
			names = append(names, logName{path, ours})
		}
	}
	if l.group != nil {
		l.group.outputs(add)
		if id := l.group.container; id != "" && w.Engine != "" {
			add(filepath.Join(w.Engine, id, id+"-json.log"), false)
		}
	}
	here := l.group != nil || !l.memory.Container // else its files are out of reach
	if l.memory.Dir != "" && here {
		for _, name := range w.Profile.Logs {
			add(filepath.Join(l.memory.Dir, filepath.FromSlash(name)), false)
		}
	}
	if l.facts.Launcher == "" && l.facts.Script == "" && here {
		// What was read while it ran is read to its end.
		for path := range l.memory.Positions {
			add(path, false)
		}
	}
	for _, path := range w.Logs {
		if w.owns(l.memory, path) || first && !slices.ContainsFunc(w.nodes, func(m *Memory) bool { return w.owns(m, path) }) {
			add(path, false)
		}
	}
	return names
}

// outputs lists the files that a node prints to: by itself or through a tee. Without -a a tee begins by emptying them.
func (g *group) outputs(add func(path string, ours bool)) {
	for _, m := range g.members {
		switch m.pattern.Role {
		case roleLauncher, roleScript:
			add(m.Output, m.Fresh)
		case roleTee:
			appends := slices.ContainsFunc(m.Args[1:], func(arg string) bool { return arg == "-a" || arg == "--append" })
			for _, arg := range m.Args[1:] {
				if arg != "" && arg[0] != '-' {
					add(cmpPath(arg, m.Dir), !appends)
				}
			}
		}
	}
}

// owns reports whether a log lies in the directory of a node.
func (w *Watcher) owns(m *Memory, name string) bool {
	if m.Dir == "" {
		return false
	}
	rel, err := filepath.Rel(m.Dir, name)
	return err == nil && filepath.IsLocal(rel)
}

// logPath is where a log of a node is found. Those of the settings and of the container engine are on this machine.
func (w *Watcher) logPath(l *look, name string) string {
	engine := w.Engine != "" && strings.HasPrefix(name, w.Engine+string(filepath.Separator))
	if l.group == nil || engine || slices.Contains(w.Logs, name) {
		return name
	}
	return w.Table.Path(l.group.main().Process, name)
}

// read takes in what is new in one log.
func (w *Watcher) read(s source, limit int64) {
	defer s.file.Close()
	m, now := s.look.memory, s.look.now
	lines, skipped := s.file.Read(limit)
	stamps := unwrap(lines)
	unstamped := now
	if !s.ours && (s.file.First || s.look.replaced) {
		unstamped = time.Time{} // nobody knows how old they are, or which of two runs they are of
	}
	if skipped > 0 && !s.file.First {
		m.Skipped = now
	}
	for i, at := range times(lines, s.changed(), now, unstamped) {
		if stamp := stamps[i]; !stamp.IsZero() && !stamp.After(now) {
			at = stamp
		}
		m.learn(w.Profile, lines[i], at)
		if at.IsZero() || !at.Before(m.Launched.Add(-slack)) {
			m.keep(lines[i])
		}
	}
}

// changed is when the last line was written. What was not there at the look before came later, whatever the clock of a
// file server says.
func (s *source) changed() time.Time {
	if before := s.look.before; !s.file.First && s.file.Changed.Before(before) {
		return before
	}
	return s.file.Changed
}

// unwrap takes the lines out of the JSON that Docker keeps them in, {"log":"text\n","stream":"stdout","time":"…"}, and
// returns the times that it has for them: they are of this machine's clock.
func unwrap(lines []string) []time.Time {
	at := make([]time.Time, len(lines))
	for i, line := range lines {
		if !strings.HasPrefix(line, `{"log":"`) {
			continue
		}
		var wrapped struct {
			Log  string
			Time time.Time
		}
		if json.Unmarshal([]byte(line), &wrapped) != nil {
			continue // cut
		}
		lines[i], at[i] = strings.Join(tail.Lines([]byte(wrapped.Log)), " "), wrapped.Time
	}
	return at
}
