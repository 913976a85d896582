package notifier

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/reason"
)

// Language is what people are told in.
type Language string

// The languages there are.
const (
	English Language = "en"
	Russian Language = "ru"
)

// ParseLanguage reads LANGUAGE. That name is also gettext's own variable, which desktops set to lists such as
// "en_US:en": the first language of such a list that is known is taken, English when none is.
func ParseLanguage(s string) (Language, error) {
	for word := range strings.SplitSeq(s, ":") {
		switch code, _, _ := strings.Cut(strings.ToLower(word), "_"); code {
		case "en", "":
			return English, nil
		case "ru":
			return Russian, nil
		}
	}
	if strings.ContainsAny(s, "_:") {
		return English, nil
	}
	return "", fmt.Errorf("language %q is not known: en or ru", s)
}

// catalogue is everything that is said to people in one language. Lines with verbs are for fmt.
type catalogue struct {
	language   Language
	timeLayout string

	// Titles, with their mark first.
	up, down, degraded, lost           string
	joined, joinedDown, joinedDegraded string
	returned, deleted                  string
	blind, deaf, hearing, stalled      string
	doubled, doubledMaybe              string
	outdated                           string
	unknown                            string // of an event that this program does not know: its kind

	// Labels of the lines below the title.
	ip, reason, evidence, was, by    string
	time, happened, found            string
	silentFor, lastHeard, lasted     string
	deletedAt, refused, more         string
	blindSpan, deafSpan, hearingSpan string // what happened: duration, from, ...
	deafAdvice, hearingAdvice        string
	stalledSpan, stalledAdvice       string
	addresses, doubledAdvice         string
	doubledMaybeAdvice, clonesAdvice string
	outdatedAdvice                   string

	// Of several nodes in one message. Functions of a number choose the right plural.
	listTitle, summaryTitle       string // a number of nodes; none
	flapping, flapped             string
	still                         map[node.State]string           // titles
	short                         map[node.State]string           // what a node is, in a line
	counts                        map[node.State]func(int) string // how many are it
	countNew, countBack           func(int) string
	countAlerts, countOther       func(int) string
	upAfter, wasDown, again       string // durations, state
	stillSince, silentLine        string
	newLine, returnedLine         string
	doubledLine, wasSilenced      string
	flapsNow                      string // state
	flappingLine, flappedLine     string // changes, from, to, state
	flappingAdvice                string
	changes                       func(int) string
	changesLabel, changesField    string // number, from, to
	changesSpan                   string // changes, from, to
	now, since                    string // labels
	sinceSpan                     string // moment, duration until now
	ownNetwork                    string // lost nodes, all nodes
	others, record, first, remind string
	uptime, worst, allDay, total  string
	number                        func(int) string
	decimal                       string // point or comma

	states   map[node.State]string // within a sentence
	statuses map[string]string     // what ingest's answers mean
	less     string                // than a second
	units    [4]func(int) string   // seconds, minutes, hours, days
	nodes    func(n int) string    // "of 3 nodes", after "any"
	marked   func(n int) string    // "3 nodes were"
}

func catalogueOf(l Language) *catalogue {
	if l == Russian {
		return &russian
	}
	return &english
}

// duration is precise enough to act on: two units at most, seconds only within ten minutes.
func (c *catalogue) duration(d time.Duration) string {
	const second, minute, hour, day = 0, 1, 2, 3
	s := int(d / time.Second)
	switch {
	case s < 1:
		return c.less
	case s < 60:
		return c.amount(s, second, 0)
	case s < 10*60:
		return c.amount(s/60, minute, s%60)
	case s < 60*60:
		return c.amount(s/60, minute, 0)
	case s < 24*60*60:
		return c.amount(s/3600, hour, s/60%60)
	}
	return c.amount(s/86400, day, s/3600%24)
}

// amount is a number of one unit, and a number of the next smaller one.
func (c *catalogue) amount(a, unit, rest int) string {
	if rest == 0 {
		return c.units[unit](a)
	}
	return c.units[unit](a) + " " + c.units[unit-1](rest)
}

// grouped separates the digits of a large number in threes.
func grouped(n int, separator string) string {
	s := strconv.Itoa(n)
	if n < 10_000 {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + separator + s[i:]
	}
	return s
}

// moment shows a time with its zone. Zones without a name of their own are shown as their offset.
func (c *catalogue) moment(t time.Time, loc *time.Location) string {
	t = t.In(loc)
	zone := t.Format("MST")
	if strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		zone = "UTC" + zone
	}
	return t.Format(c.timeLayout) + " " + zone
}

// clock shows when on its day a time is.
func (c *catalogue) clock(t time.Time, loc *time.Location) string { return t.In(loc).Format("15:04") }

// stretch shows a stretch of time, with its day only once where it is one.
func (c *catalogue) stretch(from, to time.Time, loc *time.Location) string {
	from, to = from.In(loc), to.In(loc)
	const day = time.DateOnly
	switch {
	case to.Sub(from) < time.Minute:
		return c.moment(to, loc)
	case from.Format(day) == to.Format(day) && from.Format("MST") == to.Format("MST"):
		_, clock, _ := strings.Cut(c.moment(to, loc), " ")
		return from.Format(c.timeLayout) + " – " + clock
	}
	return c.moment(from, loc) + " – " + c.moment(to, loc)
}

// pluralRussian chooses among the forms for 1, 2 and 5.
func pluralRussian(n int, one, two, five string) string {
	switch {
	case n%100 >= 11 && n%100 <= 14:
		return five
	case n%10 == 1:
		return one
	case n%10 >= 2 && n%10 <= 4:
		return two
	}
	return five
}

func pluralEnglish(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// reasonWords is what a reason code means, or "" for a code that is not known.
func (c *catalogue) reasonWords(code string) string { return reason.Words(string(c.language), code) }
