package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

const (
	// maxBatchBytes bounds the encoded heartbeats of one message.
	maxBatchBytes = 256 << 10
	// maxWaiting bounds the requests that wait for an acknowledgement.
	maxWaiting = 20_000
	// maxWait is how long a request waits for its acknowledgement.
	maxWait = 2 * time.Second
	// leastLeft is what a request must still wait when its message is begun. With less it would often be given up while
	// the message is on its way: stored, and yet answered 503.
	leastLeft = 200 * time.Millisecond
	// keptBytes is the room for one encoded heartbeat that is kept for the next one.
	keptBytes = 4 << 10
)

// Why a heartbeat was not stored. After any of them the agent should try again.
var (
	errTooMany  = errors.New("too many heartbeats are waiting")
	errTooLate  = errors.New("the heartbeat could not be stored in time")
	errStopping = errors.New("ingest is stopping")
	// errUnstored hides the reason: agents need not know how the monitor is built.
	errUnstored = errors.New("the heartbeat could not be stored")
)

// committer stores heartbeats in groups: one message is on its way at a time, and what arrives meanwhile shares the next
// one. Two at a time would not be faster, since the server syncs one after the other, and would be half as full. Where
// enough arrive, a message waits for more of them (see tempo); a heartbeat that comes alone waits for nothing. There is
// no queue of messages, and no message is sent twice.
type committer struct {
	publish func(ctx context.Context, b contract.Batch, heartbeats [][]byte) error
	now     func() time.Time
	traced  bool // some submissions may be

	mu       sync.Mutex
	queue    []*submission
	sealed   []*submission // of the message on its way
	waiting  int           // submissions whose caller waits, in the queue or sealed
	busy     bool          // a message is on its way, or gathers
	running  bool
	stopped  bool
	last     time.Time // when a message was last begun
	tempo    tempo
	enough   chan struct{} // closed when the message that gathers need not wait; nil while none does
	giveUp   *time.Timer   // runs while anybody waits
	watching bool          // giveUp runs
	workers  sync.WaitGroup
	free     sync.Pool // of submissions
}

// submission is one heartbeat on its way into a message. All wait equally long, so that they are given up in their order.
type submission struct {
	data  []byte
	until time.Time     // its caller waits no longer
	done  chan error    // takes one
	ended bool          // done has it: a submission still queued must not be published any more
	span  *tracing.Span // nil for most
}

// submit stores one heartbeat, which write appends to a buffer. It returns nil once the message is stored, or after
// maxWait at the latest the reason why it may not be. A heartbeat that was given up before its message was begun is never
// stored.
func (c *committer) submit(write func([]byte) ([]byte, error)) error {
	return c.submitTraced(write, nil)
}

// submitTraced is submit with the span that the heartbeat is a part of.
func (c *committer) submitTraced(write func([]byte) ([]byte, error), span *tracing.Span) error {
	s, _ := c.free.Get().(*submission)
	if s == nil {
		s = &submission{done: make(chan error, 1)}
	}
	var err error
	if s.data, err = write(s.data[:0]); err != nil {
		return err
	}
	s.ended, s.span = false, span
	if err := c.enqueue(s); err != nil {
		return err
	}
	err = <-s.done
	if !errors.Is(err, errTooLate) && cap(s.data) <= keptBytes { // else its message may still be on its way
		c.free.Put(s)
	}
	return err
}

func (c *committer) enqueue(s *submission) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return errStopping
	case c.waiting >= maxWaiting:
		return errTooMany
	}
	now := c.now()
	s.until = now.Add(maxWait)
	c.waiting++
	c.queue = append(c.queue, s)
	c.tempo.arrived(now)
	if c.enough != nil && len(c.queue) >= c.tempo.share() {
		c.hurry()
	}
	c.watch(s)
	c.spawn()
	return nil
}

// end answers a submission, once. The caller holds the lock.
func (c *committer) end(s *submission, err error) {
	if !s.ended {
		s.ended = true
		c.waiting--
		s.done <- err
	}
}

// watch sees to it that a submission is given up in time. The caller holds the lock.
func (c *committer) watch(s *submission) {
	if c.watching {
		return
	}
	c.watching = true
	if c.giveUp == nil {
		c.giveUp = time.AfterFunc(s.until.Sub(c.now()), c.expire)
		return
	}
	c.giveUp.Reset(s.until.Sub(c.now()))
}

// expire gives up whoever waited for too long, and looks again when the next one will have.
func (c *committer) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.watching = false
	for _, s := range c.sealed {
		if s.until.After(now) {
			c.watch(s)
			return
		}
		c.end(s, errTooLate)
	}
	for len(c.queue) > 0 {
		s := c.queue[0]
		if s.until.After(now) {
			c.watch(s)
			return
		}
		c.end(s, errTooLate)
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
}

// spawn starts a worker for what is queued, unless one is at work. The caller holds the lock.
func (c *committer) spawn() {
	if !c.running || len(c.queue) == 0 || c.busy {
		return
	}
	c.busy = true
	c.workers.Go(c.work)
}

// work publishes until nothing is queued.
func (c *committer) work() {
	for {
		c.gather()
		batch, limit := c.seal()
		if len(batch) == 0 {
			return
		}
		crashpoint.Here("ingest.sealed")
		c.endAll(batch, c.send(limit, batch))
	}
}

// endAll answers a message's submissions. It wakes their callers without the lock, which they and all others want.
func (c *committer) endAll(batch []*submission, err error) {
	c.mu.Lock()
	c.sealed = nil
	waiting := batch[:0]
	for _, s := range batch {
		if !s.ended {
			s.ended = true
			waiting = append(waiting, s)
		}
	}
	c.waiting -= len(waiting)
	c.mu.Unlock()
	for _, s := range waiting {
		s.done <- err
	}
}

// gather waits for more heartbeats, if it pays.
func (c *committer) gather() {
	c.mu.Lock()
	if len(c.queue) == 0 || c.stopped || len(c.queue) >= c.tempo.share() {
		c.mu.Unlock()
		return
	}
	oldest := c.queue[0].until.Add(-maxWait)
	left := c.tempo.linger() - c.now().Sub(oldest)
	if left <= 0 {
		c.mu.Unlock()
		return
	}
	enough := make(chan struct{})
	c.enough = enough
	c.mu.Unlock()

	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-enough:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enough = nil
}

// hurry ends the waiting of a message that gathers. The caller holds the lock.
func (c *committer) hurry() {
	if c.enough != nil {
		close(c.enough)
		c.enough = nil
	}
}

// seal takes the submissions of one message from the queue, and how long the last of them waits. Without any the worker
// ends.
func (c *committer) seal() (batch []*submission, limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	taken, size := 0, 0
	for _, s := range c.queue {
		if s.until.Sub(now) < leastLeft {
			c.end(s, errTooLate)
			taken++
			continue
		}
		if size += len(s.data) + 1; size > maxBatchBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, s)
		limit = s.until.Sub(now)
		taken++
	}
	clear(c.queue[:taken])
	c.queue = c.queue[taken:]
	if len(batch) == 0 {
		c.busy = false
		return nil, 0
	}
	c.sealed, c.last = batch, now
	return batch, limit
}

func (c *committer) send(limit time.Duration, batch []*submission) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	heartbeats := make([][]byte, len(batch))
	for i, s := range batch {
		heartbeats[i] = s.data
	}
	ctx, traced := c.publishing(ctx, batch)
	err := c.publish(ctx, contract.Batch{}, heartbeats)
	traced.end(err)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnstored, err)
	}
	crashpoint.Here("ingest.acknowledged")
	return nil
}

// idle is how long ago the last message was begun, 0 while any is on its way.
func (c *committer) idle() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || len(c.queue) > 0 {
		return 0
	}
	return c.now().Sub(c.last)
}

// pulse publishes an empty batch. It does nothing while other messages are on their way.
func (c *committer) pulse(ctx context.Context) (sent bool, err error) {
	c.mu.Lock()
	if c.busy || !c.running {
		c.mu.Unlock()
		return false, nil
	}
	c.busy = true
	c.last = c.now()
	c.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	crashpoint.Here("ingest.pulse")
	err = c.publish(ctx, contract.Batch{}, nil)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.spawn()
	return true, err
}

// start lets messages out. What was submitted before waited for it.
func (c *committer) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.last = true, c.now()
	c.spawn()
}

// stop refuses new submissions and waits until those at hand have their answer, maxWait at most.
func (c *committer) stop() {
	c.mu.Lock()
	c.stopped = true
	c.hurry()
	c.mu.Unlock()
	c.workers.Wait()
	c.mu.Lock()
	c.running = false
	c.mu.Unlock()
}
