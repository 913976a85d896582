// Package ondown runs a command of the owner's while a node is down.
package ondown

import "time"

// Config says what to run and when. A Config without Command runs nothing.
type Config struct {
	Command  string        // of the shell
	After    int           // heartbeats in a row that must find the node down
	Grace    time.Duration // after the agent's start and after each end of the command, in which it does not run
	PerHour  int           // how often it runs for one node in an hour at most
	Timeout  time.Duration // after which it is killed with all that it started
	StopFile string        // while it is there, the command does not run; "" for none
}

// longestWait bounds the back-off: a node that stays down is tried four times a day at least.
const longestWait = 6 * time.Hour

// Memory is what must be known of earlier runs for one node, also after a restart of the agent.
type Memory struct {
	Tries int         `json:"tries"`           // runs since the node was last well for Grace
	Begun []time.Time `json:"begun,omitempty"` // of the runs in the last hour
	Ended time.Time   `json:"ended,omitzero"`  // of the last run
}

// wait is how long after the end of a run the next one may begin: Grace, doubled with every run that did not help.
func (c Config) wait(tries int) time.Duration {
	d := c.Grace
	for ; tries > 1 && d < longestWait; tries-- {
		d *= 2
	}
	return min(d, max(c.Grace, longestWait))
}

// due reports whether the command may begin, for a node that was found down downs times in a row.
func (c Config) due(m Memory, downs int, started, now time.Time) bool {
	switch {
	case c.Command == "" || downs < c.After:
		return false
	case now.Before(started.Add(c.Grace)):
		return false
	case m.Tries > 0 && now.Before(m.Ended.Add(c.wait(m.Tries))):
		return false
	}
	return len(m.lastHour(now)) < c.PerHour
}

// lastHour are the runs that began in the hour before now.
func (m Memory) lastHour(now time.Time) []time.Time {
	var out []time.Time
	for _, t := range m.Begun {
		if now.Sub(t) < time.Hour {
			out = append(out, t)
		}
	}
	return out
}

// settle makes times in the future, from before the clock was set back, those of now: they would hold for as long. It
// reports whether there were any.
func (m *Memory) settle(now time.Time) bool {
	changed := false
	at := func(t time.Time) time.Time {
		if t.After(now) {
			changed = true
			return now
		}
		return t
	}
	m.Ended = at(m.Ended)
	begun := make([]time.Time, len(m.Begun))
	for i, t := range m.Begun {
		begun[i] = at(t)
	}
	m.Begun = begun
	return changed
}
