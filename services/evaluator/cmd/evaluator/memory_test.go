package main

import (
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

// A large fold gets half of itself as room, a small one no more than it can use.
func TestRoomForGarbage(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 4 << 20: 400, 12 << 20: 400, 24 << 20: 200, 48 << 20: 100, 96 << 20: 50, 128 << 20: 37, 1 << 30: 35,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB in use: %d %%, want %d", live>>20, got, want)
		}
	}
}

func TestTheEnvironmentDecidesAboutRoom(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "77")
	synctest.Test(t, func(t *testing.T) {
		ended := false
		go func() { _ = keepRoom(t.Context()); ended = true }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := debug.SetGCPercent(77); got != 77 || ended {
			t.Errorf("set to %d %%, want that it is left at 77; ended is %v: that would stop the program", got, ended)
		}
	})
}

func TestRoomFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "")
	synctest.Test(t, func(t *testing.T) {
		go func() { _ = keepRoom(t.Context()) }()
		time.Sleep(time.Second + 1)
		synctest.Wait()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if want, got := gcPercent(live[0].Value.Uint64()), debug.SetGCPercent(-1); got != want {
			t.Errorf("%d %%, want %d for %d bytes", got, want, live[0].Value.Uint64())
		}
	})
}
