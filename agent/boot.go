package agent

import (
	"os"
	"path/filepath"
	"strings"
)

// Boot tells one run of the kernel from another, and orders the heartbeats of one.
type Boot struct {
	proc  string
	clock func() int64 // milliseconds since the machine started, 0 when unknown
}

// NewBoot reads from a proc file system.
func NewBoot(proc string) *Boot { return &Boot{proc: proc, clock: sinceBoot} }

// Now returns the id of this run of the kernel and the milliseconds since its start, which grow over restarts of the
// agent; neither when either is unknown.
func (b *Boot) Now() (id string, seq int64) {
	data, err := os.ReadFile(filepath.Join(b.proc, "sys/kernel/random/boot_id"))
	id, seq = strings.TrimSpace(string(data)), b.clock()
	if err != nil || id == "" || seq <= 0 {
		return "", 0
	}
	return id, seq
}
