package agent

import (
	"log"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// When a trouble that lasts is told again: after ten minutes, then every hour.
const (
	firstReminder = 10 * time.Minute
	laterReminder = time.Hour
)

// journal tells what changed, so that a log of weeks can be read.
type journal struct {
	log     *log.Logger
	now     func() time.Time
	told    map[string]string // the last report told of each node
	trouble string            // why heartbeats are not accepted, "" when they are
	since   time.Time         // when the trouble began, whatever its first reason was
	remind  time.Time
}

// attempt takes the heartbeats that one attempt delivered, and why others were not accepted. several says that there are
// several nodes, so that the log must name them.
func (j *journal) attempt(trouble error, accepted []contract.Heartbeat, several bool) {
	if trouble != nil {
		j.failed(trouble.Error())
	} else if j.trouble != "" {
		j.log.Printf("heartbeats are accepted again after %v", j.lasted())
		j.trouble = ""
	}
	for _, h := range accepted {
		// The evidence of a node that works well changes with every round.
		brief := h.Status + " " + h.Reason
		if brief == j.told[h.NodeID] {
			continue
		}
		j.told[h.NodeID] = brief
		d := describe(h)
		if several {
			d = h.NodeID + " is " + d
		}
		j.log.Printf("heartbeat accepted: %s", d)
	}
}

// failed takes the reason of an attempt that was not accepted.
func (j *journal) failed(why string) {
	now := j.now()
	switch {
	case j.trouble == "":
		j.since = now
		j.log.Printf("heartbeat not accepted: %s", why)
	case j.trouble != why:
		j.log.Printf("heartbeat still not accepted: %s", why)
	case now.Before(j.remind):
		return
	default:
		j.log.Printf("still failing for %v: %s", j.lasted(), why)
		j.remind = now.Add(laterReminder)
		return
	}
	j.trouble, j.remind = why, now.Add(firstReminder)
}

func (j *journal) lasted() time.Duration { return j.now().Sub(j.since).Round(time.Second) }
