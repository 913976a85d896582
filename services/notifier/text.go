package notifier

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
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

	reasons  map[string]string     // of reason codes
	port     string                // port_closed_<n>
	states   map[node.State]string // within a sentence
	statuses map[string]string     // what ingest's answers mean
	units    durationUnits
	nodes    func(n int) string // "of 3 nodes", after "any"
	marked   func(n int) string // "3 nodes were"
}

type durationUnits struct {
	less, second, minute, hour, day string // less: under a second
}

func catalogueOf(l Language) *catalogue {
	if l == Russian {
		return &russian
	}
	return &english
}

// duration is precise enough to act on: two units at most, seconds only within ten minutes.
func (c *catalogue) duration(d time.Duration) string {
	u := c.units
	s := int64(d / time.Second)
	switch {
	case s < 1:
		return u.less
	case s < 60:
		return amount(s, u.second, 0, "")
	case s < 10*60:
		return amount(s/60, u.minute, s%60, u.second)
	case s < 60*60:
		return amount(s/60, u.minute, 0, "")
	case s < 24*60*60:
		return amount(s/3600, u.hour, s/60%60, u.minute)
	}
	return amount(s/86400, u.day, s/3600%24, u.hour)
}

func amount(a int64, unitA string, b int64, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
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
func (c *catalogue) reasonWords(code string) string {
	if words, ok := c.reasons[code]; ok {
		return words
	}
	if port, ok := strings.CutPrefix(code, "port_closed_"); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return fmt.Sprintf(c.port, n)
		}
	}
	return ""
}
