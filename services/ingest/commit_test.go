package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// message is what a committer published in a test of its own, without HTTP.
type message struct {
	heartbeats []string
	at         time.Duration
}

// harness runs a committer against a publish that takes as long as it is told to.
type harness struct {
	c        *committer
	begun    time.Time
	takes    time.Duration
	err      error
	messages []message // begun
	atOnce   int
	most     int
	lock     chan struct{}
}

// count is how many messages were begun.
func (h *harness) count() int {
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	return len(h.messages)
}

func newHarness(takes time.Duration) *harness {
	h := &harness{begun: time.Now(), takes: takes, lock: make(chan struct{}, 1)}
	h.c = &committer{publish: h.publish, now: time.Now}
	return h
}

func (h *harness) publish(ctx context.Context, _ contract.Batch, heartbeats [][]byte) error {
	h.lock <- struct{}{}
	m := message{at: time.Since(h.begun)}
	for _, b := range heartbeats {
		m.heartbeats = append(m.heartbeats, string(b))
	}
	h.messages = append(h.messages, m)
	h.atOnce++
	h.most = max(h.most, h.atOnce)
	takes, err := h.takes, h.err
	<-h.lock
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.lock <- struct{}{}
	h.atOnce--
	<-h.lock
	return err
}

// submit submits in the background. The channel takes the result.
func (h *harness) submit(data string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- h.now(data) }()
	return result
}

// now submits and waits for the result.
func (h *harness) now(data string) error {
	return h.c.submit(func(b []byte) ([]byte, error) { return append(b, data...), nil })
}

func TestCommitAtOnceWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Millisecond)
		h.c.start()
		defer h.c.stop()
		for i := range 3 {
			time.Sleep(time.Second)
			if err := h.now("a"); err != nil {
				t.Fatal(err)
			}
			want := time.Duration(i+1)*time.Second + time.Duration(i)*time.Millisecond
			if m := h.messages[i]; m.at != want {
				t.Errorf("published at %v, want %v", m.at, want)
			}
		}
	})
}

func TestCommitGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(100 * time.Millisecond)
		h.c.start()
		defer h.c.stop()
		results := []<-chan error{h.submit("0")}
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		for i := range 50 {
			results = append(results, h.submit(fmt.Sprint(1+i)))
			synctest.Wait()
		}
		for i, r := range results {
			if err := <-r; err != nil {
				t.Errorf("submission %d: %v", i, err)
			}
		}
		if h.most != 1 || len(h.messages) != 2 {
			t.Fatalf("%d messages, %d at a time", len(h.messages), h.most)
		}
		last := h.messages[1]
		if len(last.heartbeats) != 50 || last.at != 100*time.Millisecond {
			t.Errorf("the group has %d heartbeats and left at %v", len(last.heartbeats), last.at)
		}
		var all []string
		for _, m := range h.messages {
			all = append(all, m.heartbeats...)
		}
		for i, got := range all {
			if got != fmt.Sprint(i) {
				t.Errorf("heartbeat %s is at place %d", got, i)
			}
		}
	})
}

// TestCommitSharesMessages holds what a heartbeat costs: a message is synced to the disk and read by three programs.
func TestCommitSharesMessages(t *testing.T) {
	const syncs = 2 * time.Millisecond
	for _, c := range []struct {
		rate    int // heartbeats a second
		atLeast float64
		slowest time.Duration
	}{
		{rate: 10, atLeast: 1, slowest: syncs},
		{rate: 150, atLeast: 7, slowest: maxLinger + 2*syncs},
		{rate: 500, atLeast: 14, slowest: 35*time.Millisecond + syncs},
		{rate: 5_000, atLeast: 14, slowest: 4*time.Millisecond + syncs},
		{rate: 35_000, atLeast: 60, slowest: 2 * syncs},
	} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(syncs)
				h.c.start()
				defer h.c.stop()
				var settled int
				var slowest atomic.Int64
				every := time.Second / time.Duration(c.rate)
				for i := range 3 * c.rate {
					if i == 2*c.rate { // it knows the tempo by now
						settled = h.count()
						slowest.Store(0)
					}
					go func() {
						begun := time.Now()
						if err := h.now("a"); err != nil {
							t.Error(err)
						}
						took := int64(time.Since(begun))
						for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
						}
					}()
					time.Sleep(every)
				}
				synctest.Wait()
				each := float64(c.rate) / float64(h.count()-settled)
				if took := time.Duration(slowest.Load()); each < c.atLeast || took > c.slowest {
					t.Errorf("%.1f heartbeats in a message, the slowest took %v; at least %v, and %v at most", each, took, c.atLeast, c.slowest)
				}
			})
		})
	}
}

// TestCommitDoesNotWaitForNobody: after a crowd the few that still come wait for others only a moment.
func TestCommitDoesNotWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(0)
		h.c.start()
		defer h.c.stop()
		for range 2000 {
			h.submit("a")
			time.Sleep(time.Second / 1000)
		}
		for i := range 20 {
			time.Sleep(time.Second)
			begun := time.Now()
			if err := h.now("b"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > maxLinger || i > 5 && took > 0 {
				t.Errorf("heartbeat %d after the crowd took %v", i, took)
			}
		}
	})
}

// TestCommitStopWaitsForNobody: what gathers leaves at once.
func TestCommitStopWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(0)
		h.c.start()
		for range 500 {
			h.submit("a")
			time.Sleep(2 * time.Millisecond)
		}
		synctest.Wait()
		last := h.submit("last")
		synctest.Wait()
		begun := time.Now()
		h.c.stop()
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		if err := <-last; err != nil {
			t.Error(err)
		}
	})
}

func TestCommitBoundsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(10 * time.Millisecond)
		big := strings.Repeat("x", 40<<10)
		var results []<-chan error
		for range 20 {
			results = append(results, h.submit(big))
		}
		huge := h.submit(strings.Repeat("y", 2*maxBatchBytes))
		synctest.Wait()
		h.c.start() // only now: what waited for it is grouped as tightly as allowed
		defer h.c.stop()
		for _, r := range append(results, huge) {
			if err := <-r; err != nil {
				t.Error(err)
			}
		}
		var sizes []int
		for _, m := range h.messages {
			sizes = append(sizes, len(m.heartbeats))
			if len(m.heartbeats) > 1 && len(m.heartbeats)*len(big) > maxBatchBytes {
				t.Errorf("a message has %d heartbeats", len(m.heartbeats))
			}
		}
		slices.Sort(sizes)
		if sum(sizes) != 21 || len(sizes) > 6 {
			t.Errorf("messages of %v heartbeats", sizes)
		}
	})
}

func sum(all []int) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}

func TestCommitFailureIsToldToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(100 * time.Millisecond)
		h.err = errors.New("away")
		var results []<-chan error
		for range 10 {
			results = append(results, h.submit("a"))
		}
		synctest.Wait()
		h.c.start()
		defer h.c.stop()
		for _, r := range results {
			if err := <-r; !errors.Is(err, errUnstored) || !errors.Is(err, h.err) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(h.begun); took > 300*time.Millisecond {
			t.Errorf("it took %v to tell", took)
		}
		if got := len(h.messages); got != 1 {
			t.Errorf("%d messages: some were sent again", got)
		}
	})
}

// TestCommitGivesUp lets a heartbeat wait behind a message that hangs.
func TestCommitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Hour)
		h.c.start()
		early := h.submit("early")
		synctest.Wait()
		time.Sleep(maxWait - 100*time.Millisecond)
		late := h.submit("late")
		synctest.Wait()
		if err := <-early; !errors.Is(err, errTooLate) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(h.begun); took != maxWait {
			t.Errorf("the early one was told after %v", took)
		}
		if err := <-late; !errors.Is(err, errTooLate) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(h.begun); took != 2*maxWait-100*time.Millisecond {
			t.Errorf("the late one was told after %v", took)
		}
		h.c.stop()
	})
}

// TestCommitGivesUpEachInTime: of one message that hangs, whoever came first is told first.
func TestCommitGivesUpEachInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Hour)
		first := h.submit("first")
		time.Sleep(time.Second)
		second := h.submit("second")
		synctest.Wait()
		h.c.start()
		for i, r := range []<-chan error{first, second} {
			if err := <-r; !errors.Is(err, errTooLate) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took, want := time.Since(h.begun), maxWait+time.Duration(i)*time.Second; took != want {
				t.Errorf("told after %v, not %v", took, want)
			}
		}
		h.c.stop()
		if h.c.waiting != 0 {
			t.Errorf("%d waiting", h.c.waiting)
		}
	})
}

// TestCommitNeverPublishesWhatWasGivenUp starts the committer only after its submission was given up.
func TestCommitNeverPublishesWhatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Millisecond)
		first := h.submit("first")
		time.Sleep(time.Second)
		second := h.submit("second")
		if err := <-first; !errors.Is(err, errTooLate) {
			t.Errorf("got %v", err)
		}
		h.c.start()
		defer h.c.stop()
		if err := <-second; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(h.messages) != 1 || !slices.Equal(h.messages[0].heartbeats, []string{"second"}) {
			t.Errorf("published %v", h.messages)
		}
		if h.c.waiting != 0 || len(h.c.queue) != 0 {
			t.Errorf("%d waiting, %d queued", h.c.waiting, len(h.c.queue))
		}
	})
}

// TestCommitLateTimer: a submission that is due, or nearly, is not published, also where its timer has not fired yet.
func TestCommitLateTimer(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := &committer{now: func() time.Time { return now }, busy: true, waiting: 4}
	wait := func(data string, until time.Duration) *submission {
		return &submission{data: []byte(data), until: now.Add(until), done: make(chan error, 1)}
	}
	late, nearly := wait("late", 0), wait("nearly", leastLeft-1)
	c.queue = []*submission{late, nearly, wait("first", leastLeft), wait("second", 2*time.Second)}
	batch, limit := c.seal()
	if len(batch) != 2 || string(batch[0].data) != "first" || string(batch[1].data) != "second" || limit != 2*time.Second {
		t.Errorf("%d submissions, %v", len(batch), limit)
	}
	for _, s := range []*submission{late, nearly} {
		if err := <-s.done; !errors.Is(err, errTooLate) {
			t.Errorf("%s: got %v", s.data, err)
		}
	}
	if c.waiting != 2 {
		t.Errorf("%d waiting", c.waiting)
	}
	if batch, _ := c.seal(); batch != nil || c.busy || len(c.queue) != 0 {
		t.Errorf("%d submissions of an empty queue, busy %v", len(batch), c.busy)
	}
}

func TestCommitBoundsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Millisecond)
		var results []<-chan error
		for range maxWaiting {
			results = append(results, h.submit("a"))
		}
		synctest.Wait()
		if err := h.now("one too many"); !errors.Is(err, errTooMany) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(h.begun); took != 0 {
			t.Errorf("it took %v to say so", took)
		}
		h.c.start()
		defer h.c.stop()
		for _, r := range results {
			if err := <-r; err != nil {
				t.Fatal(err)
			}
		}
		if err := h.now("fits again"); err != nil {
			t.Error(err)
		}
	})
}

func TestCommitStopAnswersWhatIsAtHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(100 * time.Millisecond)
		h.c.start()
		var results []<-chan error
		for range 20 {
			results = append(results, h.submit("a"))
		}
		synctest.Wait()
		h.c.stop()
		for _, r := range results {
			if err := <-r; err != nil {
				t.Error(err)
			}
		}
		if err := h.now("late"); !errors.Is(err, errStopping) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPulseLeavesRoomToHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(100 * time.Millisecond)
		h.c.start()
		defer h.c.stop()
		busy := h.submit("a")
		synctest.Wait()
		if sent, err := h.c.pulse(t.Context()); sent || err != nil {
			t.Errorf("a pulse beside a message: %v, %v", sent, err)
		}
		if idle := h.c.idle(); idle != 0 {
			t.Errorf("idle for %v with a message in flight", idle)
		}
		if err := <-busy; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if sent, err := h.c.pulse(t.Context()); !sent || err != nil {
			t.Errorf("no pulse: %v, %v", sent, err)
		}
		time.Sleep(time.Second)
		if idle := h.c.idle(); idle != time.Second+100*time.Millisecond {
			t.Errorf("idle for %v", idle)
		}
	})
}
