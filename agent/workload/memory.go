package workload

import (
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// Event is a line that meant something.
type Event struct {
	At    time.Time `json:"at"`
	Line  string    `json:"line"`
	Order int64     `json:"order,omitempty"` // grows from line to line: many have the same time, or none of their own
}

// after reports whether e came after o.
func (e Event) after(o Event) bool { return e.At.After(o.At) || e.At.Equal(o.At) && e.Order > o.Order }

// Fatal is a line that says that work ends.
type Fatal struct {
	Event
	Reason  string `json:"reason"`
	General bool   `json:"general,omitempty"`
	Gone    bool   `json:"gone,omitempty"`
}

// Memory is what is known of a node from one look to the next, also over restarts of the agent. Its times are of this
// machine's clock.
type Memory struct {
	Name      string                    `json:"name"`
	Dir       string                    `json:"dir,omitempty"`
	Container bool                      `json:"container,omitempty"`
	Positions map[string]*tail.Position `json:"positions,omitempty"` // in its logs

	PeerID   string `json:"peer_id,omitempty"`
	PeerName string `json:"peer_name,omitempty"`
	Named    string `json:"named,omitempty"` // the id of the peer whose name a log has told
	Model    string `json:"model,omitempty"`
	Version  string `json:"version,omitempty"`

	Round     int64            `json:"round,omitempty"`
	RoundSeen Event            `json:"round_seen,omitzero"`
	Wait      Event            `json:"wait,omitzero"`
	WaitUntil time.Time        `json:"wait_until,omitzero"`
	Login     Event            `json:"login,omitzero"`
	Prompt    Event            `json:"prompt,omitzero"`
	Start     Event            `json:"start,omitzero"`
	Fatal     Fatal            `json:"fatal,omitzero"`
	Troubles  map[string]Count `json:"troubles,omitempty"`
	Skipped   time.Time        `json:"skipped,omitzero"` // when its logs grew faster than they are read
	Order     int64            `json:"order,omitempty"`  // of the last event
	cause     bool             // whether the cause of the fatal line may follow

	Launched time.Time     `json:"launched,omitzero"` // when the launcher began
	Begin    time.Duration `json:"begin,omitempty"`   // likewise, since the kernel started
	Met      time.Duration `json:"met,omitempty"`     // Watch when the launcher was seen first
	PID      int           `json:"pid,omitempty"`     // of the launcher
	Forks    []int         `json:"forks,omitempty"`   // processes that the launcher made of itself
	Restarts int           `json:"restarts,omitempty"`
	SawPeer  bool          `json:"saw_peer,omitempty"` // since the launcher began
	OOMKills int64         `json:"oom_kills"`          // of the machine, when the launcher was seen last

	// Watch is how long the node has really been looked at, and Last what Watch was, or will be, when it told of a round
	// last, or has to look for one. The machine's clock can step, and a machine can sleep with its nodes.
	Watch  time.Duration `json:"watch,omitempty"`
	Last   time.Duration `json:"last,omitempty"`
	Looked time.Time     `json:"looked,omitzero"` // when it was looked at last

	Phase  Phase           `json:"phase,omitempty"`
	Since  time.Time       `json:"since,omitzero"` // of the phase
	lines  []string        // the last ones of its logs
	absent map[string]bool // logs that were not there when it was looked at last
}

// Count remembers the last troubles of one kind.
type Count struct {
	At   []time.Time `json:"at"`
	Line string      `json:"line"`
}

// near is how far a fatal line that does not say why may be from one that does.
const near = 2 * time.Minute

// learn takes a line that was written at a time; the zero time means that nobody knows whether it is of this run.
func (m *Memory) learn(p *Profile, line string, at time.Time) {
	for i := range p.Lines {
		l := &p.Lines[i]
		if l.Class == classCause && !m.cause {
			continue
		}
		found := l.find(line)
		if found == nil {
			continue
		}
		m.Order++
		m.apply(l, found, Event{At: at, Line: evidence(line), Order: m.Order})
		return
	}
}

// maxEvidence bounds a line that is remembered, in bytes.
const maxEvidence = contract.MaxEvidenceBytes / 2

// evidence is a line as it is remembered: without secrets, and not too long.
func evidence(line string) string {
	line = mask.Text(line)
	if len(line) > maxEvidence {
		line = strings.ToValidUTF8(line[:maxEvidence], "") + "…"
	}
	return line
}

func (m *Memory) apply(l *Line, found []string, e Event) {
	switch l.Class {
	case classIdentity:
		m.PeerName, m.PeerID, m.Named = strings.ReplaceAll(found[1], "_", " "), found[2], found[2]
	case classModel:
		m.Model = found[1]
	}
	if e.At.IsZero() {
		return
	}
	switch l.Class {
	case classRound:
		m.round(found[1], e)
	case classWaiting:
		m.wait(found[1], found[2], e)
	case classLogin:
		newer(&m.Login, e)
	case classPrompt:
		newer(&m.Prompt, e)
	case classStart, classIdentity, classModel:
		newer(&m.Start, e)
	case classFatal:
		m.fatal(Fatal{Event: e, Reason: l.Reason, General: l.General, Gone: l.Gone})
	case classTrouble:
		m.trouble(l, e)
	case classCause:
		m.cause = false
		m.Fatal.Line += " … " + e.Line
	}
}

func newer(to *Event, e Event) {
	if !e.At.Before(to.At) {
		*to = e
	}
}

func (m *Memory) round(number string, e Event) {
	m.cause = false
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && !e.At.Before(m.RoundSeen.At) {
		m.Round, m.RoundSeen = n, e
		m.Last = m.Watch - m.Looked.Sub(e.At)
	}
}

func (m *Memory) wait(number, wait string, e Event) {
	m.cause = false
	n, err := strconv.ParseInt(number, 10, 64)
	sec, bad := strconv.ParseFloat(wait, 64)
	if err != nil || bad != nil || !(sec >= 0 && sec < 86400) || e.At.Before(m.Wait.At) {
		return
	}
	// It names the round of the swarm, which it has finished.
	if m.Round == 0 {
		m.Round = n
	}
	m.Wait, m.WaitUntil = e, e.At.Add(time.Duration(sec*float64(time.Second)))
	m.Last = m.Watch - m.Looked.Sub(m.WaitUntil)
}

// fatal keeps the last fatal line, but of those near each other the one that says why. A line that only some survive
// counts for sure with one near it that nobody does.
func (m *Memory) fatal(f Fatal) {
	before := m.Fatal
	if f.At.Before(before.At) {
		return
	}
	m.Fatal, m.cause = f, true
	if before.At.IsZero() || f.At.Sub(before.At) > near {
		return
	}
	sure := !f.Gone || !before.Gone
	if f.General && !before.General {
		m.Fatal.Reason, m.Fatal.General, m.Fatal.Line = before.Reason, false, before.Line
	}
	m.Fatal.Gone = !sure
}

func (m *Memory) trouble(l *Line, e Event) {
	if m.Troubles == nil {
		m.Troubles = make(map[string]Count)
	}
	c := m.Troubles[l.Reason]
	c.At, c.Line = append(c.At, e.At), e.Line
	c.At = c.At[max(len(c.At)-l.Times, 0):]
	m.Troubles[l.Reason] = c
}

// keptLines is how many of the last lines of a node's logs are told.
const keptLines = 20

func (m *Memory) keep(line string) {
	m.lines = append(m.lines, line)
	if len(m.lines) > keptLines {
		m.lines = m.lines[len(m.lines)-keptLines:]
	}
}

// launcher takes what is seen of the launcher: how old it is, when it began since the kernel started, its id and those
// of its forks. It reports whether it took the place of another one since the look before.
func (m *Memory) launcher(age, begin time.Duration, pid int, forks []int) (replaced bool) {
	began := m.Looked.Add(-age)
	same := pid == m.PID && begin == m.Begin
	if begin == 0 { // unknown here
		same = pid == m.PID && began.Sub(m.Launched).Abs() < 5*time.Second
	}
	if !same {
		if replaced = m.PID != 0; replaced {
			m.Restarts++
		}
		m.PID, m.Begin, m.Launched, m.Met, m.SawPeer = pid, begin, began, m.Watch, false
		// What happened before was of another run.
		m.Troubles, m.Skipped = nil, time.Time{}
	}
	m.Forks = forks
	return replaced
}

// maxGap is how much of the time between two looks counts as watched.
const maxGap = 10 * time.Minute

// look begins a look. When the clock was set back, all that is remembered goes back with it.
func (m *Memory) look(now time.Time) {
	// The reading of the monotonic clock, which an event may lack, is of no use here.
	now = now.Round(0)
	if m.Looked.IsZero() {
		m.Looked = now
	}
	gap := now.Sub(m.Looked)
	m.Looked = now
	if gap < 0 {
		m.shift(gap)
		gap = 0
	}
	m.Watch += min(gap, maxGap)
}

// shift moves all times.
func (m *Memory) shift(d time.Duration) {
	all := []*time.Time{
		&m.RoundSeen.At, &m.Wait.At, &m.WaitUntil, &m.Login.At, &m.Prompt.At, &m.Start.At, &m.Fatal.At, &m.Skipped,
		&m.Launched, &m.Since,
	}
	for _, c := range m.Troubles {
		for i := range c.At {
			all = append(all, &c.At[i])
		}
	}
	for _, t := range all {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
}
