package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// An agent is healthy while the monitor accepts its reports, not while it merely runs.
func TestHealthyIsWhoseReportsAreAccepted(t *testing.T) {
	dir := t.TempDir()
	c := Config{StateDir: dir, NodeID: "alpha", Interval: time.Minute}
	state, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	healthy := func(now time.Time) bool { return Healthy(c, Machine{}, now) == nil }
	if healthy(time.Now()) {
		t.Error("healthy before the first report")
	}
	report := func(answer error) {
		ctx, cancel := context.WithCancel(t.Context())
		rests := 0
		New(Options{
			Config: c, State: state, Profile: &rig{},
			Rest: func() {
				if rests++; rests == 2 { // after the first report
					cancel()
				}
			},
			Send: func(context.Context, contract.Heartbeat) error { return answer },
		}).Run(ctx)
	}
	report(errors.New("refused"))
	if healthy(time.Now()) {
		t.Error("healthy although the report was refused")
	}
	report(nil)
	if !healthy(time.Now()) || !healthy(time.Now().Add(3*time.Minute)) {
		t.Error("not healthy after an accepted report")
	}
	if healthy(time.Now().Add(5 * time.Minute)) {
		t.Error("healthy without a report for 5 minutes")
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "accepted"), old, old); err != nil {
		t.Fatal(err)
	}
	report(errors.New("refused"))
	if healthy(time.Now()) {
		t.Error("a refused report counts")
	}
}
