package workload

import "time"

// stampOf reads the local time that a line of a log begins with: "[2025-08-31 17:07:54,997]" or "2025-08-31T17:07:54" in
// all their mixtures, and "Oct 26 23:33:49.827", which lacks the year: that of now is taken. It is as if local time
// were UTC: only the distance between the lines of one file means something.
func stampOf(line string, now time.Time) (time.Time, bool) {
	if len(line) > 0 && line[0] == '[' {
		line = line[1:]
	}
	if len(line) < 15 {
		return time.Time{}, false
	}
	if line[0] >= 'A' && line[0] <= 'Z' {
		t, err := time.Parse(time.Stamp, line[:15])
		if err != nil {
			return time.Time{}, false
		}
		t = t.AddDate(now.Year(), 0, 0)
		if t.Sub(now) > 48*time.Hour { // of last December
			t = t.AddDate(-1, 0, 0)
		}
		return t.Add(fraction(line[15:])), true
	}
	if len(line) < 19 || line[0] < '0' || line[0] > '9' || line[10] != ' ' && line[10] != 'T' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateTime, line[:10]+" "+line[11:19])
	if err != nil {
		return time.Time{}, false
	}
	return t.Add(fraction(line[19:])), true
}

// fraction reads ",997" or ".827": milliseconds.
func fraction(s string) time.Duration {
	if len(s) < 4 || s[0] != ',' && s[0] != '.' {
		return 0
	}
	ms := 0
	for _, c := range []byte(s[1:4]) {
		if c < '0' || c > '9' {
			return 0
		}
		ms = 10*ms + int(c-'0')
	}
	return time.Duration(ms) * time.Millisecond
}

// times says when each line was written, by this machine's clock: the last stamp belongs to when the file was changed
// last, the others lie before it as their stamps do. So neither the time zone of the program nor its clock matter. A
// line without a stamp has the time of the one before it. Without any stamp all have the time unstamped.
func times(lines []string, changed, now, unstamped time.Time) []time.Time {
	at := make([]time.Time, len(lines))
	var last time.Time
	for i, line := range lines {
		if t, ok := stampOf(line, now); ok {
			at[i], last = t, t
		}
	}
	if last.IsZero() {
		for i := range at {
			at[i] = unstamped
		}
		return at
	}
	if changed.After(now) {
		changed = now
	}
	shift := changed.Sub(last)
	var before time.Time
	for i := range at {
		if !at[i].IsZero() {
			before = at[i].Add(shift)
			if before.After(changed) {
				before = changed
			}
		}
		at[i] = before
	}
	// Those before the first stamp have its time.
	for i := len(at) - 2; i >= 0; i-- {
		if at[i].IsZero() {
			at[i] = at[i+1]
		}
	}
	return at
}
