// Package workload judges by a profile what the nodes of a machine do: data that say which processes they are made of
// and what the lines of their logs mean.
package workload

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed rl-swarm.json
var rlSwarm []byte

// Roles of processes.
const (
	roleLauncher = "launcher" // does the work
	rolePeer     = "peer"     // connects the launcher with others
	roleScript   = "script"   // starts everything
	roleWeb      = "web"      // shows the login page
	roleTee      = "tee"      // writes a log that the script prints
)

// Classes of lines.
const (
	classRound    = "round"    // group 1: the round
	classWaiting  = "waiting"  // group 1: the round, group 2: the seconds until it looks again
	classIdentity = "identity" // group 1: the name of the peer, group 2: its id
	classModel    = "model"    // group 1: its name
	classLogin    = "login"    // somebody must log in
	classPrompt   = "prompt"   // it asks something on its terminal
	classStart    = "start"    // a step of the start
	classFatal    = "fatal"    // work ends, unless more of it follows
	classTrouble  = "trouble"  // work goes on; several of them are a reason to say so
	classCause    = "cause"    // of a fatal line before it
)

// wanted is how many groups the pattern of each class needs.
var wanted = map[string]int{
	classRound: 1, classWaiting: 2, classIdentity: 2, classModel: 1, classLogin: 0, classPrompt: 0, classStart: 0,
	classFatal: 0, classTrouble: 0, classCause: 0,
}

// Phase is what a node is doing.
type Phase string

// The phases.
const (
	Starting Phase = "starting"
	Overdue  Phase = "overdue" // starting for too long
	Login    Phase = "login"   // somebody must log in
	Prompt   Phase = "prompt"  // it asks something on its terminal
	Running  Phase = "running" // its log cannot be read, so nothing is known of its rounds
	Training Phase = "training"
	Waiting  Phase = "waiting" // for the next round
	Stalled  Phase = "stalled" // no round for too long
	Trouble  Phase = "trouble" // it works, but to no purpose
	NoPeer   Phase = "no_p2pd"
	Crashed  Phase = "crashed"
	Down     Phase = "down"
)

var phases = []Phase{Starting, Overdue, Login, Prompt, Running, Training, Waiting, Stalled, Trouble, NoPeer, Crashed, Down}

// Profile is what is known of a workload.
type Profile struct {
	Name      string             `json:"name"`
	Processes []Pattern          `json:"processes"`
	Logs      []string           `json:"logs"`     // in the directory of a node
	Identity  []string           `json:"identity"` // likewise, files with the key of the peer
	Names     []string           `json:"names"`    // likewise, files with the words of names; "*/" at the begin is any directory
	Login     *LoginFiles        `json:"login"`
	Lines     []Line             `json:"lines"`
	Phases    map[Phase]Judgment `json:"phases"`
	Limits    *Limits            `json:"limits"`
}

// Pattern recognises a process.
type Pattern struct {
	Role    string   `json:"role"`
	Version string   `json:"version,omitempty"`
	Program string   `json:"program"`          // what the name of its program begins with, in any case; "sh": any shell that runs a file
	Has     string   `json:"has"`              // in its command line
	Option  string   `json:"option,omitempty"` // whose value is a path in the node's directory; "": the current directory is
	Strip   []string `json:"strip,omitempty"`  // ends of that path that are cut off: the first that fits
	Must    bool     `json:"must,omitempty"`   // without such an end it is part of a node only if an ancestor is

	program, has []byte
}

// Line gives a line of a log a meaning.
type Line struct {
	Class     string `json:"class"`
	Match     string `json:"match"`
	Reason    string `json:"reason,omitempty"`     // of fatal lines and troubles
	General   bool   `json:"general,omitempty"`    // a fatal line that does not say why: a better reason near it wins
	Gone      bool   `json:"gone,omitempty"`       // a fatal line that some survive: it counts once the launcher is gone
	Times     int    `json:"times,omitempty"`      // how many troubles count …
	WithinSec int    `json:"within_sec,omitempty"` // … in how long

	match  *regexp.Regexp
	prefix string // a text that every match holds, "" when none is known
}

// LoginFiles say whether somebody has logged in: User exists, and Key matches Done, not Pending.
type LoginFiles struct {
	User    string `json:"user"`
	Key     string `json:"key"`
	Done    string `json:"done"`
	Pending string `json:"pending"`

	done, pending *regexp.Regexp
}

// Judgment is what a phase means for others.
type Judgment struct {
	Status string `json:"status"` // UP, DEGRADED or DOWN
	Reason string `json:"reason"` // unless a line gave a better one
}

// Limits are spans of patience, in seconds.
type Limits struct {
	StartSec int `json:"start_sec"` // a start may take
	StallSec int `json:"stall_sec"` // may pass between two rounds, or after a check that was due
	PeerSec  int `json:"peer_sec"`  // after the start, the peer's process may be missing
	FatalSec int `json:"fatal_sec"` // after a fatal line, a launcher that still runs may go on as if nothing had happened
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// Load reads a profile: "rl-swarm" with what override, a JSON object of the same form, has in its place, member by
// member. The error says what is wrong with override.
func Load(override []byte) (*Profile, error) {
	p, err := decode(rlSwarm)
	if err != nil {
		return nil, fmt.Errorf("rl-swarm.json: %w", err)
	}
	if override != nil {
		o, err := decode(override)
		if err != nil {
			return nil, err
		}
		p.replace(o)
	}
	if err := p.compile(); err != nil {
		return nil, err
	}
	return p, nil
}

func decode(data []byte) (*Profile, error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\uFEFF"))))
	d.DisallowUnknownFields()
	var p Profile
	if err := d.Decode(&p); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return &p, nil
}

func (p *Profile) replace(o *Profile) {
	if o.Name != "" {
		p.Name = o.Name
	}
	if o.Processes != nil {
		p.Processes = o.Processes
	}
	if o.Logs != nil {
		p.Logs = o.Logs
	}
	if o.Identity != nil {
		p.Identity = o.Identity
	}
	if o.Names != nil {
		p.Names = o.Names
	}
	if o.Login != nil {
		p.Login = o.Login
	}
	if o.Lines != nil {
		p.Lines = o.Lines
	}
	for phase, j := range o.Phases {
		p.Phases[phase] = j
	}
	if o.Limits != nil {
		p.Limits = o.Limits
	}
}

// compile checks the profile and readies it.
func (p *Profile) compile() error {
	for i := range p.Processes {
		pattern := &p.Processes[i]
		pattern.program, pattern.has = []byte(pattern.Program), []byte(pattern.Has)
		roles := []string{roleLauncher, rolePeer, roleScript, roleWeb, roleTee}
		if !slices.Contains(roles, pattern.Role) {
			return fmt.Errorf("processes[%d].role: %q must be one of %s", i, pattern.Role, strings.Join(roles, ", "))
		}
		if pattern.Program == "" || pattern.Has == "" {
			return fmt.Errorf("processes[%d] needs program and has", i)
		}
	}
	for i := range p.Lines {
		if err := p.Lines[i].compile(); err != nil {
			return fmt.Errorf("lines[%d]: %w", i, err)
		}
	}
	for i, l := range p.Lines {
		if l.Class == classTrouble && (l.Times <= 0 || l.WithinSec <= 0) {
			return fmt.Errorf("lines[%d] needs times and within_sec", i)
		}
	}
	for phase, j := range p.Phases {
		if !slices.Contains(phases, phase) {
			return fmt.Errorf("phases: %q is none", phase)
		}
		if j.Status != "UP" && j.Status != "DEGRADED" && j.Status != "DOWN" || j.Reason == "" {
			return fmt.Errorf("phases.%s needs a reason, and a status UP, DEGRADED or DOWN", phase)
		}
	}
	for i, name := range p.Names {
		if !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(strings.TrimPrefix(name, "*/"), "*") {
			return fmt.Errorf("names[%d]: %q must be a path in the directory of a node; only its first part may be *", i, name)
		}
	}
	if l := p.Limits; l.StartSec <= 0 || l.StallSec <= 0 || l.PeerSec <= 0 || l.FatalSec <= 0 {
		return errors.New("limits: each must be given, and more than 0")
	}
	if p.Login != nil {
		return p.Login.compile()
	}
	return nil
}

func (l *Line) compile() error {
	need, ok := wanted[l.Class]
	if !ok {
		return fmt.Errorf("class %q is none", l.Class)
	}
	var err error
	if l.match, err = regexp.Compile(l.Match); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	l.prefix, _ = l.match.LiteralPrefix()
	if l.match.NumSubexp() < need {
		return fmt.Errorf("match needs %d groups for class %s", need, l.Class)
	}
	if (l.Class == classFatal || l.Class == classTrouble) && l.Reason == "" {
		return fmt.Errorf("class %s needs a reason", l.Class)
	}
	return nil
}

func (l *LoginFiles) compile() error {
	var err error
	if l.done, err = regexp.Compile(l.Done); err != nil {
		return fmt.Errorf("login.done: %w", err)
	}
	if l.pending, err = regexp.Compile(l.Pending); err != nil {
		return fmt.Errorf("login.pending: %w", err)
	}
	return nil
}

// find returns the groups of a line that it matches, nil when it does not.
func (l *Line) find(line string) []string {
	if l.prefix != "" && !strings.Contains(line, l.prefix) {
		return nil
	}
	return l.match.FindStringSubmatch(line)
}
