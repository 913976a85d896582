package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The heap may grow by room, but by no less than leastPercent and no more than mostPercent of what is in use, before it
// is collected. By Go's own measure, 100 % of everything, a fold of a few nodes is collected many times a second, and one
// of a million takes twice what it needs.
const (
	room         = 48 << 20
	leastPercent = 35
	mostPercent  = 400
)

// gcPercent is what debug.SetGCPercent takes, for so many bytes in use.
func gcPercent(live uint64) int {
	return int(min(max(100*room/max(live, 1), leastPercent), mostPercent))
}

// keepRoom adjusts the garbage collection to the size of the fold until ctx ends, unless the environment says how it is
// to be. It looks ten times a second: so much is read when a fold of a million nodes is taken over.
func keepRoom(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}} // as of the last collection
	set := 100
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		if metrics.Read(live); live[0].Value.Kind() == metrics.KindUint64 {
			if p := gcPercent(live[0].Value.Uint64()); p != set {
				debug.SetGCPercent(p)
				set = p
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return nil
		}
	}
}
