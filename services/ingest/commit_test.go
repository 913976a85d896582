package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	go func() { result <- h.c.submit([]byte(data)) }()
	return result
}

func TestCommitAtOnceWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Millisecond)
		h.c.start()
		defer h.c.stop()
		for i := range 3 {
			time.Sleep(time.Second)
			if err := h.c.submit([]byte("a")); err != nil {
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
		var results []<-chan error
		for i := range maxInFlight {
			results = append(results, h.submit(fmt.Sprint(i)))
			synctest.Wait()
		}
		time.Sleep(10 * time.Millisecond)
		for i := range 50 {
			results = append(results, h.submit(fmt.Sprint(maxInFlight+i)))
			synctest.Wait()
		}
		for i, r := range results {
			if err := <-r; err != nil {
				t.Errorf("submission %d: %v", i, err)
			}
		}
		if h.most != maxInFlight || len(h.messages) != maxInFlight+1 {
			t.Fatalf("%d messages, %d at a time", len(h.messages), h.most)
		}
		last := h.messages[maxInFlight]
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
		if got := len(h.messages); got > maxInFlight {
			t.Errorf("%d messages: some were sent again", got)
		}
	})
}

// TestCommitGivesUp fills all places in flight with messages that hang, and lets another heartbeat wait behind them.
func TestCommitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(time.Hour)
		h.c.start()
		var early []<-chan error
		for i := range maxInFlight {
			early = append(early, h.submit(fmt.Sprint("early ", i)))
			synctest.Wait()
		}
		time.Sleep(maxWait - 100*time.Millisecond)
		late := h.submit("late")
		synctest.Wait()
		for _, r := range early {
			if err := <-r; !errors.Is(err, errTooLate) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(h.begun); took != maxWait {
			t.Errorf("the early ones were told after %v", took)
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
		if len(h.messages) != 1 || !slices.Equal(h.messages[0].heartbeats, []string{"second"}) {
			t.Errorf("published %v", h.messages)
		}
		if h.c.waiting != 0 || len(h.c.queue) != 0 {
			t.Errorf("%d waiting, %d queued", h.c.waiting, len(h.c.queue))
		}
	})
}

// TestCommitSkipsInTheMiddle: timers do not always fire in order.
func TestCommitSkipsInTheMiddle(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := &committer{now: func() time.Time { return now }, inFlight: 2}
	c.queue = []*submission{
		{data: []byte("late"), until: now},
		{data: []byte("first"), until: now.Add(time.Second)},
		{data: []byte("gone"), until: now.Add(time.Second), gone: true},
		{data: []byte("second"), until: now.Add(2 * time.Second)},
	}
	batch, limit := c.next()
	if len(batch) != 2 || string(batch[0].data) != "first" || string(batch[1].data) != "second" || limit != 2*time.Second {
		t.Errorf("%d submissions, %v", len(batch), limit)
	}
	if batch, _ := c.next(); batch != nil || c.inFlight != 1 || len(c.queue) != 0 {
		t.Errorf("%d submissions of an empty queue, %d in flight", len(batch), c.inFlight)
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
		if err := h.c.submit([]byte("one too many")); !errors.Is(err, errTooMany) {
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
		if err := h.c.submit([]byte("fits again")); err != nil {
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
		if err := h.c.submit([]byte("late")); !errors.Is(err, errStopping) {
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
