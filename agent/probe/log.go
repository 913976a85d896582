package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
)

// Fresh passes when a file was changed not longer ago than Age. Of several that fit a pattern the newest counts.
type Fresh struct {
	Path string // or a pattern, such as /var/log/node-*.log
	Age  time.Duration
	Now  func() time.Time
}

// Check implements Probe.
func (f *Fresh) Check(context.Context) Result {
	paths := []string{f.Path}
	if strings.ContainsAny(f.Path, "*?[") {
		paths, _ = filepath.Glob(f.Path)
	}
	var newest time.Time
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrPermission) {
			return Result{Reason: ReasonUnseen, Evidence: fmt.Sprintf("log %s: this user may not see it", f.Path), Blind: true}
		}
		if err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if newest.IsZero() {
		newest = f.rotated()
	}
	if newest.IsZero() {
		return Result{Reason: ReasonStaleLog, Evidence: fmt.Sprintf("log %s does not exist", f.Path)}
	}
	age := f.Now().Sub(newest).Round(time.Second)
	if age > f.Age {
		return Result{Reason: ReasonStaleLog, Evidence: fmt.Sprintf("log %s: nothing was written for %v, %v are allowed", f.Path, age, f.Age)}
	}
	return Result{Saw: fmt.Sprintf("written %v ago", max(age, 0))}
}

// rotated is when the file was changed that was moved away from a path just now: the program may still write to it, or be
// about to make a new one.
func (f *Fresh) rotated() (newest time.Time) {
	for _, pattern := range []string{f.Path + ".*", f.Path + "-*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
	}
	return newest
}

// LogPattern is a line that means a failure.
type LogPattern struct {
	Path   string
	Match  *regexp.Regexp
	Reason string
}

// LogPatterns fails for a while after a line that matches was added to a log. What was there before its first look
// does not count. It is used by one goroutine at a time.
type LogPatterns struct {
	Patterns  []LogPattern
	Hold      time.Duration
	Now       func() time.Time
	StateFile string // keeps positions and failures over restarts; "": in memory alone

	state  logState
	loaded bool
}

// logState is what is known from one look to the next.
type logState struct {
	Positions map[string]*tail.Position `json:"positions"`
	Reason    string                    `json:"reason,omitempty"`
	Line      string                    `json:"line,omitempty"`
	At        time.Time                 `json:"at,omitzero"`
}

// logLimit is how much of all logs is read in one look, in bytes.
const logLimit = 64 << 10

// Check implements Probe.
func (l *LogPatterns) Check(context.Context) Result {
	l.load()
	now := l.Now()
	blind := l.read(now)
	if l.state.At.After(now) {
		l.state.At = now // the clock was set back: the failure would last for as long
	}
	saved := l.save()
	switch {
	case l.Hold > now.Sub(l.state.At) && l.state.Reason != "":
		return Result{Reason: l.state.Reason, Evidence: l.state.Line}
	case blind != "":
		return Result{Reason: ReasonUnseen, Evidence: "log " + blind + ": this user may not see it", Blind: true}
	case saved != nil:
		return Result{Saw: "no line like them; what was read cannot be kept: " + saved.Error()}
	}
	return Result{Saw: "no line like them"}
}

// read takes in what is new in all logs, and names one that may not be seen.
func (l *LogPatterns) read(now time.Time) (blind string) {
	var files []*tail.File
	var pending []int64
	opened := make(map[string]bool)
	for _, p := range l.Patterns {
		if opened[p.Path] {
			continue
		}
		opened[p.Path] = true
		pos := l.state.Positions[p.Path]
		fresh := pos == nil
		if fresh {
			pos = new(tail.Position)
		}
		f, err := tail.Open(p.Path, pos)
		switch {
		case errors.Is(err, fs.ErrPermission):
			blind = p.Path
			continue
		case err != nil:
			l.state.Positions[p.Path] = pos // what is written from now on is new
			continue
		}
		l.state.Positions[p.Path] = pos
		if fresh {
			f.Skip()
		}
		files, pending = append(files, f), append(pending, f.Pending())
	}
	for i, share := range tail.Share(logLimit, pending) {
		lines, _ := files[i].Read(share)
		files[i].Close()
		for _, line := range lines {
			l.match(files[i].Path, line, now)
		}
	}
	return blind
}

func (l *LogPatterns) match(path, line string, now time.Time) {
	for _, p := range l.Patterns {
		if p.Path == path && p.Match.MatchString(line) {
			l.state.Reason, l.state.Line, l.state.At = p.Reason, mask.Text(line), now
			return
		}
	}
}

func (l *LogPatterns) load() {
	if l.loaded {
		return
	}
	l.loaded = true
	if l.StateFile != "" {
		if data, err := os.ReadFile(l.StateFile); err == nil && json.Unmarshal(data, &l.state) != nil {
			l.state = logState{} // it makes no sense: begin anew
		}
	}
	if l.state.Positions == nil {
		l.state.Positions = make(map[string]*tail.Position)
	}
}

func (l *LogPatterns) save() error {
	if l.StateFile == "" {
		return nil
	}
	data, err := json.Marshal(l.state)
	if err != nil {
		return err
	}
	// In one step: half a file would begin anew, behind lines that nobody has looked at.
	if err := os.WriteFile(l.StateFile+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(l.StateFile+".new", l.StateFile)
}
