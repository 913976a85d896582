//go:build hurry

package main

import (
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier"
)

// pace is for tests alone (go build -tags hurry): what takes minutes is 20 times as fast.
func pace() notifier.Timing {
	return notifier.Timing{Deadman: 3 * time.Second, Untold: 30 * time.Second}
}
