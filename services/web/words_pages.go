package web

import (
	"math"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// nodeWords are the texts of a node's page.
type nodeWords struct {
	State, Uptime, Charts, Incidents, Timeline, Report, Facts string

	Windows                                           []string // a day, a week, a month, a quarter
	Use, Memory, GPUTemperature, Hottest, Machine     string
	Processor, Disk, InUse                            string
	NoSamples, NoIncidents, NoEvents, Older           string
	Threshold, Own, Default, Interval, Joined, Agent  string
	Workload, Phase, Peer, Model, Supervisor, Running string
	Restarts                                          string
	Annotation, AgentClock, Command                   string
	Log, ToBeTold, Told, NotTold                      string
	Last                                              string
	Legend                                            string
	Absent, NotObserved                               string
}

// incidentWords are the texts of the page of incidents.
type incidentWords struct {
	OpenOnly, Began, Ended, Lasted, Lasts, Worst, Node string
	None, CSV                                          string
}

// monitorWords are the texts of the page about the monitor itself.
type monitorWords struct {
	How, Fine, Look, Broken, NotActive, Late, None, Nobody, Never string

	LastAccepted, Rate, LastMinute, Accepted, Refused, Process, Overflow string
	Holder, Term, Committed, Lag, LagHow, Position                       string
	Waiting, LastTold, Version, Streams, Skew                            string
	Chats, Chat, Oldest, Error, Silences                                 string
	Processes, Service, Runs, Heard, Other                               string
	Spans, SpansHow, NoSpans, Blind, Deaf, Lasts, Kind, From, To         string
}

// share is the part of the observed time that was served, never rounded up to all of it.
func (w *words) share(a node.Availability) string {
	share, known := a.Share()
	switch {
	case !known:
		return "—"
	case a.Down+a.Lost == 0:
		return w.percent(100, 0)
	case share > 0.99:
		return w.percent(min(math.Floor(share*10000)/100, 99.99), 2)
	default:
		return w.percent(math.Floor(share*1000)/10, 1)
	}
}

// availability says in words what a bar draws.
func (w *words) availability(a node.Availability) string {
	parts := []string{w.served(w.share(a))}
	for _, p := range []struct {
		word string
		d    time.Duration
	}{
		{w.state(node.Degraded), a.Degraded}, {w.state(node.Down), a.Down}, {w.state(node.Lost), a.Lost}, {w.Node.NotObserved, a.Unobserved},
	} {
		if p.d >= time.Second {
			parts = append(parts, strings.ToLower(p.word)+" "+w.short(p.d))
		}
	}
	return strings.Join(parts, ", ")
}

// blindTime is how long the monitor could not have heard, "" when it always could.
func (w *words) blindTime(a node.Availability) string {
	if a.Unobserved < time.Second {
		return ""
	}
	return w.Node.NotObserved + " " + w.short(a.Unobserved)
}

// held says why an alert is not told for now, untold why it never will be.
func (w *words) held(why string) string   { return w.known(why) }
func (w *words) untold(why string) string { return w.Node.NotTold + ": " + w.known(why) }

func (w *words) known(why string) string {
	if text, ok := w.Whys[why]; ok {
		return text
	}
	return why
}

// whys are the reasons for not telling an alert that words must have.
var whys = []string{nodestore.Silenced, nodestore.Flapping, nodestore.Flapped, nodestore.GivenUp}
