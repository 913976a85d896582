package limiter

import (
	"strconv"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New[string](3, time.Second, 0, func() time.Time { return now })
	at := func(after time.Duration, want ...time.Duration) {
		t.Helper()
		now = now.Add(after)
		for i, w := range want {
			if got := l.Take("a"); got != w {
				t.Errorf("attempt %d: wait %v, want %v", i, got, w)
			}
		}
	}
	at(0, 0, 0, 0, time.Second, time.Second) // refused attempts cost nothing
	at(400*time.Millisecond, 600*time.Millisecond)
	at(600*time.Millisecond, 0, time.Second)
	at(time.Hour, 0, 0, 0, time.Second) // never more than the burst
	if got := l.Take("b"); got != 0 {
		t.Errorf("another key waits %v", got)
	}
}

func TestLimiterForgets(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New[string](10, time.Second, 0, func() time.Time { return now })
	for i := range 100_000 {
		l.Take(strconv.Itoa(i))
		now = now.Add(time.Millisecond)
		if len(l.whole) > 4000 { // some thousand keys are within their second
			t.Fatalf("%d keys remembered after %d", len(l.whole), i)
		}
	}
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	const most = 2000
	l := New[string](2, time.Minute, most, func() time.Time { return now })
	l.Take("known")
	refused := 0
	for i := range 10 * most {
		if l.Take(strconv.Itoa(i)) > 0 {
			refused++
		}
	}
	if len(l.whole) > most+1 {
		t.Errorf("%d keys remembered", len(l.whole))
	}
	if want := 10*most - (most - 1) - 2; refused != want {
		t.Errorf("%d refused, want %d", refused, want)
	}
	if l.Take("known") != 0 || l.Take("known") == 0 {
		t.Error("a remembered key lost its own allowance")
	}
	now = now.Add(2 * time.Minute)
	if got := l.Take("new"); got != 0 {
		t.Errorf("a new key waits %v although all others are whole again", got)
	}
}

func TestGiveBack(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New[string](2, time.Minute, 0, func() time.Time { return now })
	l.GiveBack("a") // nothing was taken: nothing is given
	for range 100 { // what is given back does not count
		if l.Take("a") != 0 {
			t.Fatal("refused")
		}
		l.GiveBack("a")
	}
	if l.Take("a") != 0 || l.Wait("a") != 0 || l.Take("a") != 0 {
		t.Error("the burst is two")
	}
	if w := l.Wait("a"); w != time.Minute || l.Take("a") != w {
		t.Errorf("wait %v", w)
	}
	now = now.Add(time.Minute)
	if l.Wait("a") != 0 || l.Wait("b") != 0 {
		t.Error("there is one again")
	}
}
