package ingest

import (
	"strconv"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newLimiter[string](3, time.Second, 0, func() time.Time { return now })
	at := func(after time.Duration, want ...time.Duration) {
		t.Helper()
		now = now.Add(after)
		for i, w := range want {
			if got := l.take("a"); got != w {
				t.Errorf("attempt %d: wait %v, want %v", i, got, w)
			}
		}
	}
	at(0, 0, 0, 0, time.Second, time.Second) // refused attempts cost nothing
	at(400*time.Millisecond, 600*time.Millisecond)
	at(600*time.Millisecond, 0, time.Second)
	at(time.Hour, 0, 0, 0, time.Second) // never more than the burst
	if got := l.take("b"); got != 0 {
		t.Errorf("another key waits %v", got)
	}
}

func TestLimiterForgets(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newLimiter[string](10, time.Second, 0, func() time.Time { return now })
	for i := range 100_000 {
		l.take(strconv.Itoa(i))
		now = now.Add(time.Millisecond)
		if len(l.whole) > 4000 { // some thousand keys are within their second
			t.Fatalf("%d keys remembered after %d", len(l.whole), i)
		}
	}
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	const most = 2000
	l := newLimiter[string](2, time.Minute, most, func() time.Time { return now })
	l.take("known")
	refused := 0
	for i := range 10 * most {
		if l.take(strconv.Itoa(i)) > 0 {
			refused++
		}
	}
	if len(l.whole) > most+1 {
		t.Errorf("%d keys remembered", len(l.whole))
	}
	if want := 10*most - (most - 1) - 2; refused != want {
		t.Errorf("%d refused, want %d", refused, want)
	}
	if l.take("known") != 0 || l.take("known") == 0 {
		t.Error("a remembered key lost its own allowance")
	}
	now = now.Add(2 * time.Minute)
	if got := l.take("new"); got != 0 {
		t.Errorf("a new key waits %v although all others are whole again", got)
	}
}
