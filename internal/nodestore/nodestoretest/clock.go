package nodestoretest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Clocked is a database whose clock the suite moves.
type Clocked struct {
	Open Opener
	Set  func(t *testing.T, offset time.Duration) // the clock, to the true time plus offset
}

// RunClock checks that no step of the database's clock gives a lease to two, or to nobody for long. engine is its name
// for people.
func RunClock(t *testing.T, engine string, fresh func(t *testing.T) Clocked) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, engine string, open func() *clocked)
	}{
		{"a dead holder is replaced although the clock stepped back", deadHolderStepBack},
		{"a holder that renews keeps its lease while the clock steps", livingHolderKeeps},
		{"a stand-by that looks for the first time after a step forward is early, and the term keeps the holder out", stepForwardIsFenced},
		{"what is shown of age is not believed across a step", statusAcrossSteps},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, engine, func() *clocked {
				f := fresh(t)
				return &clocked{newDatabase(t, f.Open), f.Set}
			})
		})
	}
}

type clocked struct {
	*database
	set func(t *testing.T, offset time.Duration)
}

const step = time.Hour

// holding is a lease.
type holding struct {
	name    string
	acquire func(s nodestore.Store, owner string, ttl time.Duration) (term int64, err error)
	renew   func(s nodestore.Store, term int64, ttl time.Duration) error
}

// holdings are the leases that the store itself judges.
func holdings(t *testing.T) []holding {
	return []holding{
		{
			"partition",
			func(s nodestore.Store, owner string, ttl time.Duration) (int64, error) {
				l, err := s.Acquire(t.Context(), 0, owner, ttl, initial)
				return l.Term, err
			},
			func(s nodestore.Store, term int64, ttl time.Duration) error {
				return s.Renew(t.Context(), nodestore.Lease{Term: term}, ttl)
			},
		},
	}
}

// deadHolderStepBack lets a holder renew and die, around a step back. A stand-by that watched it from before waits as
// long as the lease lasts, and hardly longer.
func deadHolderStepBack(t *testing.T, engine string, open func() *clocked) {
	const ttl, rounds = 600 * time.Millisecond, 3
	for _, h := range holdings(t) {
		var waits []time.Duration
		d := open()
		other := d.again(t)
		for range rounds {
			d.set(t, 0)
			term, err := h.acquire(d, "a", 100*ttl) // whatever the disk does, the other sees it held
			must(t, err)
			_, err = h.acquire(other, "b", ttl)
			wantErr(t, "while a lives", err, nodestore.ErrHeld)
			must(t, h.renew(d, term, ttl))
			died := time.Now()
			d.set(t, -step)
			next := untilFree(t, h, other, ttl)
			waits = append(waits, time.Since(died))
			if next != term+1 {
				t.Errorf("%s: term %d after %d", h.name, next, term)
			}
			wantErr(t, h.name+": the dead one renews", h.renew(d, term, ttl), nodestore.ErrFenced)
			must(t, h.renew(other, next, time.Nanosecond))
		}
		least, most := slices.Min(waits), slices.Max(waits)
		if least < ttl || most > ttl+10*time.Second {
			t.Errorf("%s: taken over after %v to %v, want %v or somewhat more", h.name, least, most, ttl)
		}
		reliability.Report(t, reliability.Row{
			Group:  "Clocks",
			Fault:  fmt.Sprintf("the clock of the database (%s) steps back by an hour, then the holder of a %s's lease dies", engine, h.name),
			Must:   "the stand-by takes over once the lease's time has passed by its own clock, and not after an hour",
			Seen:   fmt.Sprintf("a lease of %v taken over after %v (median), %v at most", ttl, Median(waits), Round(most)),
			Rounds: rounds,
		})
	}
}

// untilFree tries until it gets the lease, as a stand-by does.
func untilFree(t *testing.T, h holding, s nodestore.Store, ttl time.Duration) (term int64) {
	t.Helper()
	eventually(t, h.name+" is taken over", func() bool {
		var err error
		term, err = h.acquire(s, "b", ttl)
		if err != nil && !errors.Is(err, nodestore.ErrHeld) {
			t.Fatal(err)
		}
		return err == nil
	})
	return term
}

// livingHolderKeeps lets the clock step back and forward while holders renew, and a stand-by tries. Between a step and
// the next renewal the lease lies far in the future, or is long over.
func livingHolderKeeps(t *testing.T, engine string, open func() *clocked) {
	const ttl = 3 * time.Second
	steps := []time.Duration{-step, step, -2 * step, 0}
	d := open()
	d.set(t, 0)
	other := d.again(t)
	tries, terms := 0, map[string]int64{}
	try := func(h holding) {
		wantErr(t, h.name+": a stand-by", asked(func() error {
			_, err := h.acquire(other, "b", ttl)
			return err
		}), nodestore.ErrHeld)
		tries++
	}
	for _, h := range holdings(t) {
		var err error
		terms[h.name], err = h.acquire(d, "a", ttl)
		must(t, err)
		try(h)
	}
	for _, offset := range steps {
		d.set(t, offset)
		for began := time.Now(); time.Since(began) < ttl+ttl/4; pause(t, ttl/16) { // longer than a lease lasts
			for _, h := range holdings(t) {
				try(h)
				must(t, asked(func() error { return h.renew(d, terms[h.name], ttl) }))
			}
		}
	}
	reliability.Report(t, reliability.Row{
		Group:  "Clocks",
		Fault:  "the clock of the database (" + engine + ") steps back and forward by hours while the holders of leases live",
		Must:   "each holder keeps its lease",
		Seen:   fmt.Sprintf("terms %v kept through %d steps and %d attempts of a stand-by", terms, len(steps), tries),
		Rounds: len(steps),
	})
}

// asked does what all programs do when the database gave no answer: it asks again. By the clock that steps Postgres
// measures how long a transaction stood idle (enable_timeout_after in its timeout.c), so a step forward may cut one off.
func asked(f func() error) (err error) {
	for range 3 {
		if err = f(); nodestore.TroubleOf(err) != nodestore.Slow {
			return err
		}
	}
	return err
}

// pause is the time between two attempts.
func pause(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// stepForwardIsFenced lets the clock step over the end of a lease whose holder lives.
func stepForwardIsFenced(t *testing.T, engine string, open func() *clocked) {
	d := open()
	const rounds = 3
	total := 0
	for i := range rounds {
		d.set(t, time.Duration(2*i)*step)
		first := acquire(t, d, "a")
		first.commit(t, node.Changes{Events: []node.Event{first.event(0, change("n", node.Up, node.Down))}})
		total++
		stale := *first
		d.set(t, time.Duration(2*i+2)*step)
		other := d.again(t)
		second := acquire(t, other, "b") // although the first lives
		wantErr(t, "the first commits", stale.try(t.Context(), node.Changes{
			Events: []node.Event{stale.event(0, change("n", node.Down, node.Up))},
		}), nodestore.ErrFenced)
		wantErr(t, "the first renews", d.Renew(t.Context(), first.Lease, long), nodestore.ErrFenced)
		second.commit(t, node.Changes{Events: []node.Event{second.event(0, change("n", node.Down, node.Lost))}})
		total++
		must(t, other.Release(t.Context(), second.Lease))
	}
	events, err := d.Events(t.Context(), "", 100)
	if must(t, err); len(events) != total {
		t.Errorf("%d events stored, want %d", len(events), total)
	}
	reliability.Report(t, reliability.Row{
		Group:  "Clocks",
		Fault:  "the clock of the database (" + engine + ") steps forward over the end of a lease whose holder lives",
		Must:   "a stand-by that was started just then may take over early; what the first one commits afterwards is refused",
		Seen:   fmt.Sprintf("%d early take-overs, %d events stored of %d accepted, 0 of the %d refused", rounds, len(events), total, rounds),
		Rounds: rounds,
	})
}

// statusAcrossSteps looks at a monitor whose evaluator died before a step back.
func statusAcrossSteps(t *testing.T, _ string, open func() *clocked) {
	d := open()
	d.set(t, 0)
	acquire(t, d, "a").commit(t, node.Changes{})
	s, err := d.Status(t.Context(), 0)
	if must(t, err); s.CommittedAge > time.Minute {
		t.Errorf("before: committed %v ago", s.CommittedAge)
	}
	d.set(t, -3*long)
	s, err = d.Status(t.Context(), 0)
	if must(t, err); s.CommittedAge < long {
		t.Errorf("after: committed %v ago; want no trust in that", s.CommittedAge)
	}
}

// Median of durations, rounded for people. There must be one.
func Median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return Round(sorted[len(sorted)/2])
}

// Round makes a duration one that people read.
func Round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
