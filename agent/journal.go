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
	told    string    // the last report told
	trouble string    // why heartbeats are not accepted, "" when they are
	since   time.Time // when the trouble began, whatever its first reason was
	remind  time.Time
}

// accepted takes a report that was accepted.
func (j *journal) accepted(h contract.Heartbeat) {
	if j.trouble != "" {
		j.log.Printf("heartbeats are accepted again after %v", j.lasted())
		j.trouble = ""
	}
	if d := describe(h); d != j.told {
		j.log.Printf("heartbeat accepted: %s", d)
		j.told = d
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
