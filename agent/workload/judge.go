package workload

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Facts are what one look at a node saw, besides its logs.
type Facts struct {
	Now       time.Time
	Launcher  string        // how the launcher shows, "" when there is none
	Script    string        // likewise, the script
	ScriptAge time.Duration // since the script began
	Peer      bool          // whether the peer's process runs
	Web       bool          // whether the login page runs
	Left      string        // what is left over of a launcher that is gone
	Asks      bool          // whether the script waits for input on its terminal
	Login     LoginState
	LogsRead  int   // how many logs could be read
	OOMKills  int64 // of the machine since boot
}

// LoginState is what the login files say.
type LoginState int

// The states of a login.
const (
	LoginUnknown LoginState = iota
	LoginMissing            // nobody has logged in
	LoginPending            // somebody has, and the key is not active yet
	LoginDone
)

// View is what a node is doing, why that is thought, and what shows it.
type View struct {
	Phase    Phase
	Reason   string // a better one than that of the phase, or ""
	Evidence string
}

// slack is what clocks and the order of events may be off.
const slack = 10 * time.Second

// Judge decides what a node is doing. It is a pure function.
func Judge(p *Profile, m *Memory, f *Facts) View {
	switch {
	case f.Launcher != "":
		return judgeLauncher(p, m, f)
	case f.Script != "":
		return judgeScript(p, m, f)
	}
	return judgeGone(m, f)
}

// judgeLauncher judges a node whose launcher runs.
func judgeLauncher(p *Profile, m *Memory, f *Facts) View {
	age := f.Now.Sub(m.Launched)
	ours := func(e Event) bool { return !e.At.IsZero() && !e.At.Before(m.Launched.Add(-slack)) }
	worked := ours(m.RoundSeen) || ours(m.Wait)
	// A start that goes on after a fatal line has survived it, as a round has.
	ended := ours(m.Fatal.Event) && m.Fatal.after(m.RoundSeen) && m.Fatal.after(m.Wait) && m.Fatal.after(m.Start)
	if ended && !m.Fatal.Gone && f.Now.Sub(m.Fatal.At) > seconds(p.Limits.FatalSec) {
		return View{Crashed, m.Fatal.Reason, m.Fatal.Line}
	}
	if !f.Peer && (m.SawPeer || worked || age > seconds(p.Limits.PeerSec)) {
		return View{Phase: NoPeer, Evidence: f.Launcher + " runs, p2pd does not"}
	}
	if !worked {
		return judgeUnworked(p, m, f, age, ended)
	}
	v := judgeWork(p, m, f)
	if v.Phase == Stalled && ended {
		v.Reason, v.Evidence = m.Fatal.Reason, m.Fatal.Line
	}
	if v.Phase == Training || v.Phase == Waiting {
		return judgeTroubles(p, m, f, v)
	}
	return v
}

// judgeUnworked judges a launcher that has not told of a round yet.
func judgeUnworked(p *Profile, m *Memory, f *Facts, age time.Duration, ended bool) View {
	switch {
	case age <= seconds(p.Limits.StartSec):
		if !m.Start.At.IsZero() && !m.Start.At.Before(m.Launched.Add(-slack)) {
			return View{Phase: Starting, Evidence: m.Start.Line}
		}
		return View{Phase: Starting, Evidence: fmt.Sprintf("%s began %s ago, no round yet", f.Launcher, span(age))}
	case f.LogsRead == 0:
		return View{Phase: Running, Evidence: f.Launcher + " runs; none of its logs can be read"}
	case skipped(p, m, f):
		return View{Phase: Running, Evidence: f.Launcher + " runs; its logs grow faster than they are read"}
	case m.Watch-m.Met <= seconds(p.Limits.StallSec):
		return View{Phase: Running, Evidence: fmt.Sprintf("%s runs; nothing of a round in the %s since it is watched", f.Launcher, span(m.Watch-m.Met))}
	case ended:
		return View{Stalled, m.Fatal.Reason, m.Fatal.Line}
	}
	return View{Phase: Stalled, Evidence: fmt.Sprintf("%s began %s ago, no round yet", f.Launcher, span(age))}
}

// skipped reports whether a line about a round may have been missed.
func skipped(p *Profile, m *Memory, f *Facts) bool {
	return !m.Skipped.IsZero() && f.Now.Sub(m.Skipped) <= seconds(p.Limits.StallSec)
}

// judgeWork judges a launcher by the last it told of rounds.
func judgeWork(p *Profile, m *Memory, f *Facts) View {
	phase, last, line := Training, m.RoundSeen.At, m.RoundSeen.Line
	if !m.RoundSeen.after(m.Wait) {
		phase, last, line = Waiting, m.WaitUntil, m.Wait.Line
	}
	quiet := min(f.Now.Sub(last), m.Watch-m.Last)
	if quiet <= seconds(p.Limits.StallSec) || skipped(p, m, f) {
		return View{Phase: phase, Evidence: line}
	}
	return View{Phase: Stalled, Evidence: fmt.Sprintf("nothing of a round for %s, since: %s", span(quiet), line)}
}

// judgeTroubles looks for troubles that came often enough.
func judgeTroubles(p *Profile, m *Memory, f *Facts, v View) View {
	for i := range p.Lines {
		l := &p.Lines[i]
		c := m.Troubles[l.Reason]
		if l.Class != classTrouble || len(c.At) < l.Times {
			continue
		}
		if first := c.At[len(c.At)-l.Times]; f.Now.Sub(first) <= seconds(l.WithinSec) {
			return View{Trouble, l.Reason, fmt.Sprintf("%d times in %s: %s", l.Times, span(f.Now.Sub(first)), c.Line)}
		}
	}
	return v
}

// judgeScript judges a node of which only the script runs: before the launcher, or after it.
func judgeScript(p *Profile, m *Memory, f *Facts) View {
	began := f.Now.Add(-f.ScriptAge)
	ours := func(e Event) bool { return !e.At.IsZero() && !e.At.Before(began.Add(-slack)) }
	switch {
	case !m.Launched.IsZero() && !m.Launched.Before(began.Add(-slack)):
		return crash(m, f, "the launcher has ended, "+f.Script+" still runs")
	case f.Asks:
		if ours(m.Prompt) {
			return View{Phase: Prompt, Evidence: m.Prompt.Line}
		}
		return View{Phase: Prompt, Evidence: f.Script + " waits for an answer on its terminal"}
	case ours(m.Login) && m.Login.At.After(m.Prompt.At) && f.Login != LoginDone:
		return View{Phase: Login, Evidence: m.Login.Line}
	case f.Web && f.Login == LoginMissing:
		return View{Phase: Login, Evidence: "the login page waits: there is no " + p.Login.User}
	case f.Web && f.Login == LoginPending:
		return View{Phase: Login, Evidence: "the key is not activated yet: " + p.Login.Key}
	case ours(m.Prompt):
		return View{Phase: Prompt, Evidence: m.Prompt.Line}
	}
	evidence := fmt.Sprintf("%s began %s ago, no launcher yet", f.Script, span(f.ScriptAge))
	if f.ScriptAge > seconds(p.Limits.StartSec) {
		return View{Phase: Overdue, Evidence: evidence}
	}
	return View{Phase: Starting, Evidence: evidence}
}

// judgeGone judges a node of which neither launcher nor script run.
func judgeGone(m *Memory, f *Facts) View {
	evidence := "no launcher and no script"
	if f.Left != "" {
		evidence += "; left over: " + f.Left
	}
	if m.Launched.IsZero() {
		return View{Phase: Down, Evidence: evidence}
	}
	return crash(m, f, evidence)
}

// crash names the reason why a launcher is gone, if there is one.
func crash(m *Memory, f *Facts, evidence string) View {
	fatal := m.Fatal
	worked := m.RoundSeen.after(fatal.Event) || m.Wait.after(fatal.Event)
	switch {
	case !fatal.At.IsZero() && !fatal.At.Before(m.Launched.Add(-slack)) && !worked:
		return View{Crashed, fatal.Reason, fatal.Line}
	case f.OOMKills > m.OOMKills:
		return View{Crashed, reasonOOM, evidence + "; meanwhile the kernel killed a process for want of memory (oom_kill " +
			strconv.FormatInt(m.OOMKills, 10) + " → " + strconv.FormatInt(f.OOMKills, 10) + ")"}
	}
	return View{Phase: Down, Evidence: evidence}
}

const reasonOOM = "out_of_memory"

// span is a duration for people: two units at most.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d", int(d.Hours())/24)
	case d >= time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return strings.TrimSuffix(d.Round(time.Second).String(), "s") + " s"
}
