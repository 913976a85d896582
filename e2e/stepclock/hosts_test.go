package stepclock_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// A monitor whose hosts have wrong clocks, each another, finds the dead; and so it does when they step. Times that
// people see are those of the stamps, that is of the NATS host's clock, whatever the other hosts take for the time.
func TestEveryHostHasAWrongClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]map[string]time.Duration{
		"all but NATS": {"ingest": -day, "evaluator": day, "notifier": -hour, "web": hour},
		"NATS, too":    {"nats": day, "ingest": hour, "evaluator": -hour, "notifier": day, "web": -day},
		"NATS alone":   {"nats": -hour},
	} {
		if testing.Short() && name != "NATS, too" {
			continue // the short form: all clocks wrong, none alone
		}
		t.Run(name, func(t *testing.T) {
			m := start(t, wrong)
			victims := m.join(t, len(hosts)-1)
			for i, host := range hosts[1:] {
				id := victims[i]
				m.clocks[host].Step([]time.Duration{hour, -hour}[i%2])
				m.fleet.Silence(id)
				m.checkTimes(t, id)
			}
			m.report(t, name)
		})
	}
}

// checkTimes waits for a death, and looks at the times in its message, in the database and on the page.
func (m *monitor) checkTimes(t *testing.T, id string) {
	t.Helper()
	message := m.awaitLost(t, id)
	stamp := message.At.Add(m.clocks["nats"].Offset()).UTC()
	if !holdsTime(message.Plain, stamp) {
		t.Errorf("told at %v by the clock of NATS:\n%s", stamp.Format(time.DateTime), message.Plain)
	}
	rows, stale := m.rows(t)
	if stale != "" {
		t.Errorf("the page calls its data stale: %s s", stale)
	}
	now := time.Now().Add(m.clocks["nats"].Offset()).Unix() // the page may be a second old, and cuts two times to seconds
	for _, r := range rows {
		if r.AgeSec < 0 || r.AgeSec > 60 || r.Computed == "UP" && r.AgeSec > int64(threshold/time.Second) {
			t.Errorf("%s was heard %d s ago, says the page", r.NodeID, r.AgeSec)
		}
		if off := now - r.LastSeen - r.AgeSec; off < -3 || off > 3 {
			t.Errorf("%s was last seen at %d, %d s ago; the clock of NATS says %d", r.NodeID, r.LastSeen, r.AgeSec, now)
		}
	}
}

// holdsTime reports whether the text says a time within the ten seconds before the given one.
func holdsTime(text string, at time.Time) bool {
	for back := range 10 {
		if strings.Contains(text, at.Add(-time.Duration(back)*time.Second).Format(time.DateTime)) {
			return true
		}
	}
	return false
}

func (m *monitor) report(t *testing.T, name string) {
	t.Helper()
	n, median, most := m.figures()
	wrong := m.wrongly()
	if len(wrong) > 0 {
		t.Errorf("healthy nodes were told:\n%s", show(wrong))
	}
	blind, told := m.checkRecord(t)
	reliability.Report(t, reliability.Row{
		Group: "Clocks", Rounds: len(hosts) - 1,
		Fault: fmt.Sprintf("clocks wrong by an hour or a day from the start (%s), the services' stepping by ±1 h while they run", name),
		Must:  fmt.Sprintf("the dead are told within %v, no healthy node is; times shown are those of the stamps", found),
		Seen: fmt.Sprintf("%d healthy nodes told, %d blind spans recorded, %d of them told; %d deaths told after %.1f s (median), %.1f s at most, each with the stamp's time",
			len(wrong), blind, told, n, median.Seconds(), most.Seconds()),
	})
}
