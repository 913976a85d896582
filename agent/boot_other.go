//go:build !linux

package agent

// sinceBoot is not known on this system yet.
func sinceBoot() int64 { return 0 }
