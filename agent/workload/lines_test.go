package workload

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

func TestStampOf(t *testing.T) {
	now := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"[2025-08-31 17:07:54,997][genrl.x][ERROR] - y": "2025-08-31T17:07:54.997Z",
		"2025-08-31 17:07:54 x":                         "2025-08-31T17:07:54Z",
		"2025-08-31T17:07:54.5Z x":                      "2025-08-31T17:07:54Z",
		"Jan  2 23:33:49.827 [ERROR] [hivemind.dht]":    "2026-01-02T23:33:49.827Z",
		"Oct 26 23:33:49.827 [ERROR] [hivemind.dht]":    "2025-10-26T23:33:49.827Z", // of last year
		"":  "",
		"[": "",
		"INFO:hivemind_exp.trainer: Joining round: 33": "",
		"[2025-99-31 17:07:54,997] x":                  "",
		"Oct 99 23:33:49.827":                          "",
		"1234567890123456789012345":                    "",
		"Traceback (most recent call last):":           "",
	} {
		got := ""
		if at, ok := stampOf(line, now); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

// TestTimes: only the distance of a stamp to the last one counts, not the zone or the clock of the program.
func TestTimes(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	changed := now.Add(-time.Minute)
	lines := []string{"before", "[2020-01-01 03:00:00,000] a", "  of a", "[2020-01-01 03:05:00,500] b", "after"}
	var got []string
	for _, at := range times(lines, changed, now, now) {
		got = append(got, at.Format("15:04:05.000"))
	}
	want := []string{"11:53:59.500", "11:53:59.500", "11:53:59.500", "11:59:00.000", "11:59:00.000"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// A clock that was set back in between makes no line of the future.
	for _, at := range times([]string{"[2020-01-01 09:00:00,000] a", "[2020-01-01 03:00:00,000] b"}, now.Add(time.Hour), now, now) {
		if at.After(now) {
			t.Errorf("%v is after %v", at, now)
		}
	}
	if at := times([]string{"x"}, changed, now, time.Time{}); !at[0].IsZero() {
		t.Errorf("%v of a line that nobody knows the time of", at)
	}
}

// FuzzLearn: whatever stands in a log, what is made of it is bounded, holds no secret, and is a phase of the profile.
func FuzzLearn(f *testing.F) {
	p, err := Load(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("[2025-08-31 17:07:54,997][x][INFO] - Joining round: 7\nException occurred during game run.\nValueError: x", int64(60), true)
	f.Add("Already finished round: 7. Next check in 900.0s.\nAA24 signature error", int64(5000), true)
	f.Add("Hello [a b c] [QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc]\nJoining round: 99999999999999999999", int64(1), false)
	f.Add("Using Model: hf_0123456789abcdefghij", int64(1), false)
	f.Fuzz(func(t *testing.T, text string, later int64, runs bool) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		m := &Memory{Launched: now.Add(-time.Hour), Looked: now}
		lines := strings.Split(text+" hf_0123456789abcdefghij", "\n")
		for i, at := range times(lines, now, now, now) {
			if at.After(now) {
				t.Errorf("%q is of the future: %v", lines[i], at)
			}
			m.learn(p, lines[i], at)
		}
		facts := &Facts{Now: now.Add(time.Duration(later%1e6) * time.Second), Peer: true, LogsRead: 1}
		if runs {
			facts.Launcher = "launcher"
		}
		v := Judge(p, m, facts)
		if _, ok := p.Phases[v.Phase]; !ok || v.Evidence == "" || len(v.Evidence) > 2*contract.MaxEvidenceBytes || len(v.Reason) > contract.MaxReasonBytes {
			t.Errorf("%+v", v)
		}
		if strings.Contains(v.Evidence, "0123456789abcdefghij") {
			t.Errorf("a secret is told: %s", v.Evidence)
		}
		if m.Round < 0 {
			t.Errorf("round %d", m.Round)
		}
	})
}
