// Package stepclock builds programs whose wall clock can be stepped while they run, as that of a machine steps whose
// time was wrong. It is for tests: the standard library's time.Now is replaced for these builds alone (go build
// -overlay), and reads the clock of the machine plus an offset. As with a real step, the monotonic clock, and with it
// timers and measured durations, goes on as if nothing had happened.
package stepclock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
)

// variable names the file that holds a program's offset.
const variable = "STEPCLOCK_FILE"

// Clock is the wall clock of those programs that are started with its Env.
type Clock struct {
	path string
	mem  []byte // the file: an offset in nanoseconds
}

// New makes a clock that shows the machine's time. Its file stays when the clock is closed.
func New(path string) (*Clock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a clock: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(8); err != nil {
		return nil, fmt.Errorf("make a clock: %w", err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("make a clock: %w", err)
	}
	return &Clock{path: path, mem: mem}, nil
}

func (c *Clock) offset() *int64 { return (*int64)(unsafe.Pointer(&c.mem[0])) }

// Env makes a program use the clock.
func (c *Clock) Env() string { return variable + "=" + c.path }

// Step moves the clock forward, or back when d is negative.
func (c *Clock) Step(d time.Duration) { atomic.AddInt64(c.offset(), int64(d)) }

// Set makes the clock wrong by d, whatever it was.
func (c *Clock) Set(d time.Duration) { atomic.StoreInt64(c.offset(), int64(d)) }

// Offset is how wrong the clock is.
func (c *Clock) Offset() time.Duration { return time.Duration(atomic.LoadInt64(c.offset())) }

// Close gives the clock up. Programs that use it keep its last offset.
func (c *Clock) Close() error {
	if err := syscall.Munmap(c.mem); err != nil {
		return fmt.Errorf("close the clock: %w", err)
	}
	c.mem = nil
	return nil
}

// Build compiles programs with such a clock into dir. Everything is compiled anew the first time, since everything
// uses the time; Go's build cache keeps it.
func Build(ctx context.Context, dir string, packages ...string) error {
	overlay, err := os.MkdirTemp("", "stepclock-")
	if err != nil {
		return fmt.Errorf("build with a stepped clock: %w", err)
	}
	defer os.RemoveAll(overlay)
	list, err := writeOverlay(ctx, overlay)
	if err != nil {
		return fmt.Errorf("build with a stepped clock: %w", err)
	}
	return cluster.Build(ctx, dir, append([]string{"-overlay", list}, packages...)...)
}

// writeOverlay writes the changed sources of package time, and the list that go build reads.
func writeOverlay(ctx context.Context, dir string) (list string, err error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the standard library: %w", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		return "", err
	}
	changed, err := change(string(original))
	if err != nil {
		return "", err
	}
	replaced, added := filepath.Join(dir, "time.go"), filepath.Join(dir, "stepclock.go")
	data, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(folder, "time.go"): replaced, filepath.Join(folder, "stepclock.go"): added,
	}})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, errors.Join(os.WriteFile(replaced, []byte(changed), 0o600), os.WriteFile(added, []byte(stepped), 0o600),
		os.WriteFile(list, data, 0o600))
}

// change makes time.Now step.
func change(source string) (string, error) {
	const reading = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(source, reading) != 1 {
		return "", errors.New("package time of this Go version reads the clock differently: look at time.Now")
	}
	return strings.Replace(source, reading, reading+"\tsec, nsec = stepped(sec, nsec)\n", 1), nil
}

// stepped is a file of package time, which may import little more than syscall.
const stepped = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var stepOffset = mapStepOffset()

// mapStepOffset maps the file that holds the offset, or stands for no offset.
func mapStepOffset() *int64 {
	path, ok := syscall.Getenv("` + variable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("` + variable + `: " + err.Error())
	}
	mem, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("` + variable + `: " + err.Error())
	}
	syscall.Close(fd)
	return (*int64)(unsafe.Pointer(&mem[0]))
}

func stepped(sec int64, nsec int32) (int64, int32) {
	all := int64(nsec) + atomic.LoadInt64(stepOffset)
	sec, all = sec+all/1e9, all%1e9
	if all < 0 {
		sec, all = sec-1, all+1e9
	}
	return sec, int32(all)
}
`
