//go:build crashpoint && unix

package crashpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// armed is where this process ends, and how many times it may pass before.
type armed struct {
	name string
	left atomic.Int64
}

// arming is read once: a step may be reached a hundred thousand times a second.
var arming = sync.OnceValue(func() *armed {
	a := new(armed)
	value := os.Getenv(Variable) //nolint:forbidigo // of builds for tests alone: no configuration has a field for it
	name, times, counted := strings.Cut(value, ":")
	n, err := strconv.ParseInt(times, 10, 64)
	if counted && (err != nil || n < 1) {
		panic(fmt.Sprintf("%s=%s: what follows the colon must be a number from 1", Variable, value))
	}
	a.name = name
	a.left.Store(max(n, 1))
	return a
})

// Here ends the process, without a word, if this is the step and the time that CRASH_AT names.
func Here(name string) {
	a := arming()
	if a.name != name || a.left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing more is done by this goroutine while the signal is on its way
}
