package evaluator_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// crasher kills a process between any two of its steps: after so many calls nothing reaches the outside any more.
type crasher struct {
	left  atomic.Int64
	after bool // the last call is carried out, and its answer lost
	dead  atomic.Bool
	kill  context.CancelFunc
}

var errDead = errors.New("the process is dead")

// step carries out one call, or crashes before or after it.
func (c *crasher) step(call func() error) error {
	if c.dead.Load() {
		return errDead
	}
	if c.left.Add(-1) > 0 {
		return call()
	}
	c.dead.Store(true)
	if c.after {
		_ = call()
	}
	c.kill()
	return errDead
}

// crashingStore is a store that a dying process uses.
type crashingStore struct {
	nodestore.Writer
	*crasher
}

func (s crashingStore) Acquire(ctx context.Context, p int, owner string, ttl time.Duration, i node.Settings) (l nodestore.Lease, err error) {
	err = s.step(func() error { l, err = s.Writer.Acquire(ctx, p, owner, ttl, i); return err })
	return l, err
}

func (s crashingStore) Renew(ctx context.Context, l nodestore.Lease, ttl time.Duration) error {
	return s.step(func() error { return s.Writer.Renew(ctx, l, ttl) })
}

func (s crashingStore) Release(ctx context.Context, l nodestore.Lease) error {
	return s.step(func() error { return s.Writer.Release(ctx, l) })
}

func (s crashingStore) Load(ctx context.Context, l nodestore.Lease, add func(*node.Node)) (snap node.Snapshot, err error) {
	err = s.step(func() error { snap, err = s.Writer.Load(ctx, l, add); return err })
	return snap, err
}

func (s crashingStore) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	return s.step(func() error { return s.Writer.Commit(ctx, l, from, c) })
}

// crashingStream is a stream that a dying process uses.
type crashingStream struct {
	evaluator.Stream
	*crasher
}

func (s crashingStream) Info(ctx context.Context, p int) (i bus.StreamInfo, err error) {
	err = s.step(func() error { i, err = s.Stream.Info(ctx, p); return err })
	return i, err
}

func (s crashingStream) StampAt(ctx context.Context, p int, seq uint64) (t time.Time, err error) {
	err = s.step(func() error { t, err = s.Stream.StampAt(ctx, p, seq); return err })
	return t, err
}

func (s crashingStream) Announce(ctx context.Context, p int, id string, data []byte) error {
	return s.step(func() error { return s.Stream.Announce(ctx, p, id, data) })
}

// flakyStore loses the answer of a commit now and then, before or after it is carried out.
type flakyStore struct {
	nodestore.Writer
	chance func() int // 0: lose it before, 1: lose its answer, else: carry it out
}

func (s flakyStore) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	switch s.chance() {
	case 0:
		return errors.Join(nodestore.ErrUnavailable, errors.New("connection refused"))
	case 1:
		_ = s.Writer.Commit(ctx, l, from, c)
		return errors.Join(nodestore.ErrUnavailable, errors.New("connection cut"))
	}
	return s.Writer.Commit(ctx, l, from, c)
}
