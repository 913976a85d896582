//go:build !hurry

package main

import "github.com/gensyn-monitor/gensyn-monitor/services/notifier"

// pace is the notifier's own.
func pace() notifier.Timing { return notifier.Timing{} }
