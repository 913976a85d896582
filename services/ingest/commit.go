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
	// maxInFlight messages are published at a time. While they are, what arrives gathers for the next one.
	maxInFlight = 4
	// maxBatchBytes bounds the encoded heartbeats of one message.
	maxBatchBytes = 256 << 10
	// maxWaiting bounds the requests that wait for an acknowledgement.
	maxWaiting = 20_000
	// maxWait is how long a request waits for its acknowledgement.
	maxWait = 2 * time.Second
)

// Why a heartbeat was not stored. After any of them the agent should try again.
var (
	errTooMany  = errors.New("too many heartbeats are waiting")
	errTooLate  = errors.New("the heartbeat could not be stored in time")
	errStopping = errors.New("ingest is stopping")
	// errUnstored hides the reason: agents need not know how the monitor is built.
	errUnstored = errors.New("the heartbeat could not be stored")
)

// committer stores heartbeats in groups: those that arrive while earlier messages are on their way share the next
// one, and those that find it idle wait for nothing. There is no queue of messages, and no message is sent twice.
type committer struct {
	publish func(ctx context.Context, b contract.Batch, heartbeats [][]byte) error
	now     func() time.Time
	traced  bool // some submissions may be

	mu       sync.Mutex
	queue    []*submission
	waiting  int // submissions whose caller waits, in the queue or in flight
	inFlight int // messages
	running  bool
	stopped  bool
	last     time.Time // when a message was last begun
	workers  sync.WaitGroup
}

// submission is one heartbeat on its way into a message.
type submission struct {
	data  []byte
	until time.Time     // its caller waits no longer
	done  chan error    // takes one
	span  *tracing.Span // nil for most
	gone  bool          // its caller gave up: it must not be published any more
}

// submit stores one encoded heartbeat. It returns nil once the message is stored, or after maxWait at the latest
// the reason why it may not be. A heartbeat that was given up before its message was begun is never stored.
func (c *committer) submit(data []byte) error { return c.submitTraced(data, nil) }

// submitTraced is submit with the span that the heartbeat is a part of.
func (c *committer) submitTraced(data []byte, span *tracing.Span) error {
	s := &submission{data: data, span: span, done: make(chan error, 1)}
	if err := c.enqueue(s); err != nil {
		return err
	}
	defer c.leave(s)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case err := <-s.done:
		return err
	case <-timer.C:
		return errTooLate
	}
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
	s.until = c.now().Add(maxWait)
	c.waiting++
	c.queue = append(c.queue, s)
	c.spawn()
	return nil
}

// leave forgets a submission. Those given up stand at the head of the queue, as all wait equally long.
func (c *committer) leave(s *submission) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	s.gone = true
	for len(c.queue) > 0 && c.queue[0].gone {
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
}

// spawn starts a worker for what is queued, if one more may run. The caller holds the lock.
func (c *committer) spawn() {
	if !c.running || len(c.queue) == 0 || c.inFlight >= maxInFlight {
		return
	}
	c.inFlight++
	c.workers.Go(c.work)
}

// work publishes until nothing is queued. It holds one of the places in flight.
func (c *committer) work() {
	for {
		batch, limit := c.next()
		if len(batch) == 0 {
			return
		}
		crashpoint.Here("ingest.sealed")
		err := c.send(limit, batch)
		for _, s := range batch {
			s.done <- err
		}
	}
}

// next takes the submissions of one message from the queue, and how long the last of them waits. Without any it
// gives the place in flight back.
func (c *committer) next() (batch []*submission, limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	taken, size := 0, 0
	for _, s := range c.queue {
		if !s.gone && s.until.After(now) {
			if size += len(s.data) + 1; size > maxBatchBytes && len(batch) > 0 {
				break
			}
			batch = append(batch, s)
			limit = s.until.Sub(now)
		}
		taken++
	}
	clear(c.queue[:taken])
	c.queue = c.queue[taken:]
	if len(batch) == 0 {
		c.inFlight--
		return nil, 0
	}
	c.last = now
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
	if c.inFlight > 0 || len(c.queue) > 0 {
		return 0
	}
	return c.now().Sub(c.last)
}

// pulse publishes an empty batch. It does nothing while other messages are on their way.
func (c *committer) pulse(ctx context.Context) (sent bool, err error) {
	c.mu.Lock()
	if c.inFlight > 0 || !c.running {
		c.mu.Unlock()
		return false, nil
	}
	c.inFlight++
	c.last = c.now()
	c.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	crashpoint.Here("ingest.pulse")
	err = c.publish(ctx, contract.Batch{}, nil)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
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
	c.mu.Unlock()
	c.workers.Wait()
	c.mu.Lock()
	c.running = false
	c.mu.Unlock()
}
