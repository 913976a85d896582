package notifier

import (
	"context"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	// flapLook is how often the store is asked which nodes have stopped flapping.
	flapLook = 10 * time.Second
	// sweepPage is how many nodes one transaction frees.
	sweepPage = 200
)

// sweeper remembers when held alerts were looked at.
type sweeper struct {
	flaps time.Time
	quiet []int64 // the silences that were active when held alerts were looked at last; nil for never
}

// again makes the next sweep look at all alerts that silences hold.
func (s *sweeper) again() { s.quiet = nil }

// sweep frees alerts whose silence, or whose flapping, is over, and holds those that a new silence covers.
func (t *teller) sweep(ctx context.Context) error {
	now := t.o.Now()
	active := t.silences.now(now)
	if !now.Before(t.flaps.Add(flapLook)) {
		if err := t.free(ctx, nodestore.Flapping, now, func(h nodestore.Held) (nodestore.Release, bool) {
			return unflap(h, active.of(h.NodeID, h.Meta), stampOf(now)), true
		}); err != nil {
			return err
		}
		t.flaps = now
	}
	ids := append([]int64{}, active.ids()...)
	if t.quiet != nil && slices.Equal(ids, t.quiet) {
		return nil
	}
	if err := t.free(ctx, nodestore.Silenced, now, func(h nodestore.Held) (nodestore.Release, bool) {
		return unsilence(h), !active.of(h.NodeID, h.Meta)
	}); err != nil {
		return err
	}
	if err := t.hold(ctx, active); err != nil {
		return err
	}
	t.quiet = ids
	return nil
}

// hold lets silences hold alerts that wait already, with those in a notification that certainly reached nobody.
func (t *teller) hold(ctx context.Context, active silences) error {
	if len(active) == 0 {
		return nil
	}
	n, err := t.o.Store.Frozen(ctx, t.lease)
	if err != nil {
		return err
	}
	if n != nil && t.unsent.certain(n) && n.Attempts > 0 {
		if err := t.takeBack(ctx, n); err != nil {
			return err
		}
	}
	return t.o.Store.Hold(ctx, t.lease, nodestore.Silenced, active.of)
}

// free goes through all nodes with alerts held for a reason, and does what is decided.
func (t *teller) free(ctx context.Context, held string, now time.Time, decide func(nodestore.Held) (nodestore.Release, bool)) error {
	after := ""
	for {
		hs, err := t.o.Store.Held(ctx, t.lease, held, after, stampOf(now.Add(-flapWindow)), stampOf(now.Add(-flapSum)), sweepPage)
		if err != nil {
			return err
		}
		var rs []nodestore.Release
		for _, h := range hs {
			after = h.NodeID
			if r, ok := decide(h); ok {
				rs = append(rs, r)
			}
		}
		if len(rs) > 0 {
			if err := t.o.Store.Free(ctx, t.lease, rs); err != nil {
				return err
			}
		}
		if len(hs) < sweepPage {
			return nil
		}
	}
}
