package agent

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Boot tells one run of the kernel from another, and orders the heartbeats of one.
type Boot struct {
	proc  string
	clock func() int64 // milliseconds since the machine started, 0 when unknown

	process string // stands in for a boot id where the kernel tells none; "" for nothing
	started time.Time
}

// NewBoot reads from a proc file system.
func NewBoot(proc string) *Boot { return &Boot{proc: proc, clock: sinceBoot} }

// Now returns the id of this run of the kernel and the milliseconds since its start, which grow over restarts of the
// agent; neither when either is unknown.
func (b *Boot) Now() (id string, seq int64) {
	data, err := os.ReadFile(filepath.Join(b.proc, "sys/kernel/random/boot_id"))
	id, seq = strings.TrimSpace(string(data)), b.clock()
	switch {
	case err == nil && id != "" && seq > 0:
		return id, seq
	case b.process != "":
		return b.process, time.Since(b.started).Milliseconds() + 1
	}
	return "", 0
}

// OrProcess has this process stand in for a boot where the system does not tell one from another. It is not for
// processes that send one heartbeat: each would look like another machine.
func (b *Boot) OrProcess() *Boot {
	b.process, b.started = rand.Text(), time.Now()
	return b
}
