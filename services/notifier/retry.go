package notifier

import (
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// verdict is what follows from a failed attempt.
type verdict struct {
	words     string
	wait      time.Duration
	permanent bool   // somebody has to change something outside
	class     string // for metrics: throttled, refused or failed
}

// retry is what a sender's error can say of trying again: after a time that was asked for, if any; and whether only a
// change outside helps.
type retry interface {
	error
	Retry() (after time.Duration, permanent bool)
}

// judge decides when to try again after an error and a number of failures before it. It is a pure function.
func judge(err error, failures int, t Timing, random float64) verdict {
	v := verdict{words: err.Error(), class: resultFailed}
	var after time.Duration
	var permanent bool
	if r := retry(nil); errors.As(err, &r) {
		after, permanent = r.Retry()
	}
	switch {
	case after > 0:
		v.class, v.wait = resultThrottled, after
	case permanent:
		v.class, v.wait, v.permanent = resultRefused, t.Refused, true
	default:
		v.wait = backoff(t.RetryFirst, t.RetryMost, failures, random)
	}
	return v
}

// NotAccepted is an error of a sender that knows whether somebody can have accepted the message: certainly not when no
// connection was made, or when it was refused.
type NotAccepted interface {
	error
	NotAccepted() bool
}

// refused reports whether a message that failed so was certainly not accepted.
func refused(err error) bool {
	var n NotAccepted
	return errors.As(err, &n) && n.NotAccepted()
}

// backoff doubles from first to most, and adds up to a quarter so that many do not come back at one moment.
func backoff(first, most time.Duration, failures int, random float64) time.Duration {
	d := float64(first) * math.Pow(2, float64(min(failures, 40)))
	return time.Duration(min(d*(1+random/4), float64(most)))
}

// spare is how many of a minute's messages are left to failures: good news uses up the rest at most.
const spare = 5

// pace keeps one chat's messages apart. Topics of one group share it, since Telegram counts by the group.
type pace struct {
	gap       time.Duration
	perMinute int

	mu     sync.Mutex
	recent []time.Time // of the messages in the last minute, oldest first
}

func newPace(gap time.Duration, perMinute int) *pace { return &pace{gap: gap, perMinute: perMinute} }

// take allows a message now and counts it, or says how long to wait before asking again. What is not urgent leaves some
// of a minute's messages to what is.
func (p *pace) take(now time.Time, urgent bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.recent) > 0 && now.Sub(p.recent[0]) >= time.Minute {
		p.recent = p.recent[1:]
	}
	if n := len(p.recent); n > 0 {
		if wait := p.recent[n-1].Add(p.gap).Sub(now); wait > 0 {
			return wait
		}
		most := p.perMinute
		if !urgent {
			most = max(most-spare, 1)
		}
		if n >= most {
			return p.recent[n-most].Add(time.Minute).Sub(now)
		}
	}
	p.recent = append(p.recent, now)
	return 0
}

// remember takes over a message of another process, as one that was sent at the given time.
func (p *pace) remember(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = append(p.recent, at)
	slices.SortFunc(p.recent, time.Time.Compare)
}

// burdens is how much a chat was told lately.
type burdens struct {
	busy   int
	gap    time.Duration
	recent []burden // oldest first
}

type burden struct {
	at       time.Time
	alerts   int
	failures int // of them
}

func (l *burdens) add(b burden) { l.recent = append(l.recent, b) }

// last is when the chat was told last, as far as is known; zero for never.
func (l *burdens) last() (at time.Time) {
	if n := len(l.recent); n > 0 {
		at = l.recent[n-1].at
	}
	return at
}

// wait is how long the next message has to wait: a chat that was told much within a minute gets fewer messages, which
// tell more each. A failure waits only where many failures were told: an outage must not stand behind the joining, or the
// recovery, of many.
func (l *burdens) wait(now time.Time, failure bool) time.Duration {
	l.recent = slices.DeleteFunc(l.recent, func(b burden) bool { return now.Sub(b.at) >= time.Minute })
	told, last := 0, time.Time{}
	for _, b := range l.recent {
		counts := b.alerts
		if failure {
			counts = b.failures
		}
		if told += counts; counts > 0 {
			last = b.at
		}
	}
	if told <= l.busy {
		return 0
	}
	return last.Add(l.gap).Sub(now)
}

// paceGroup is what Telegram counts messages by: the chat without its topic.
func paceGroup(name string) string {
	if c, err := telegram.ParseChat(name); err == nil {
		return c.ID
	}
	return name
}
