package powerloss

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/rpc"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
)

// Limits of waiting, generous for a busy machine.
const (
	callLimit  = 90 * time.Second
	closeLimit = 20 * time.Second
)

// Machine is a computer whose disks lose power together. It is safe for concurrent use.
//
// A process of its own serves the disks, which is this program again. Were it this process, then a page fault on a disk
// could stop the very goroutines that answer it, and programs on a disk would inherit what keeps it alive: they would
// wait, beyond kill -9, for a server that is gone.
type Machine struct {
	// MountLimit is how long a disk may be mounted before it is taken away by force, 0 for 5 minutes. Whatever hangs on
	// it goes on then, with errors.
	MountLimit time.Duration

	cmd    *exec.Cmd
	child  *childprocess.Child
	client *rpc.Client

	mu  sync.Mutex
	err error // the first failure of the server
}

// Disk is a file system of a machine.
type Disk struct {
	machine *Machine
	number  int
}

// NewMachine starts a machine without disks, on which an fsync takes at least syncDelay, so that other operations come
// between, as on a real disk. The caller closes it. What earlier machines have left mounted is removed.
func NewMachine(syncDelay time.Duration) (*Machine, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a machine: %w", err)
	}
	cmd := exec.Command(program)
	cmd.Env, cmd.Stderr = append(os.Environ(), serverVariable+"=1", "GORACE=atexit_sleep_ms=0"), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a machine: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a machine: %w", err)
	}
	m := &Machine{cmd: cmd}
	// It takes the disks away on this signal, too.
	if m.child, err = childprocess.Start(cmd, syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("start a machine: %w", err)
	}
	m.client = rpc.NewClient(stdio{out, in})
	if err := m.call("Begin", Request{SyncDelay: syncDelay}, new(struct{})); err != nil {
		return nil, errors.Join(fmt.Errorf("start a machine: %w", err), m.Close())
	}
	return m, nil
}

// call asks the server. When it does not answer in time it is ended.
func (m *Machine) call(method string, r Request, reply any) error {
	late := time.NewTimer(callLimit)
	defer late.Stop()
	select {
	case c := <-m.client.Go("disks."+method, r, reply, make(chan *rpc.Call, 1)).Done:
		var said rpc.ServerError
		if c.Error != nil && !errors.As(c.Error, &said) {
			return m.fail(fmt.Errorf("the disks' server is gone: %s: %w", method, c.Error))
		}
		return c.Error
	case <-late.C:
		_ = m.cmd.Process.Kill()
		return m.fail(fmt.Errorf("the disks' server did not answer within %v: %s", callLimit, method))
	}
}

func (m *Machine) fail(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
	return err
}

// Mount reads the directory from into memory and mounts it at the directory at, which must exist. Everything in it
// counts as safe. The caller unmounts it after the last program on it has ended.
func (m *Machine) Mount(from, at string) (*Disk, error) {
	d := &Disk{machine: m}
	limit := m.MountLimit
	if limit == 0 {
		limit = 5 * time.Minute
	}
	return d, m.call("Mount", Request{From: from, At: at, Limit: limit}, &d.number)
}

// Unmount takes the disk away, waiting a while for programs that are still ending. What it recorded stays. Its error
// tells, too, that the disk had to be taken away by force before. It may be called again.
func (d *Disk) Unmount() error {
	return d.machine.call("Unmount", Request{Disk: d.number}, new(struct{}))
}

// Position is the number of operations so far. Whatever somebody was told before asking lies below it. It is 0 after the
// server has failed, which Close tells.
func (m *Machine) Position() int {
	position := 0
	if m.call("Position", Request{}, &position) != nil {
		return 0
	}
	return position
}

// Syncs returns the positions right after completed fsyncs in (from, to]: the moments at which something became safe.
func (m *Machine) Syncs(from, to int) (syncs []int, err error) {
	return syncs, m.call("Syncs", Request{Position: from, To: to}, &syncs)
}

// Survivor writes into the empty directory dst what the disk holds after the power went at the position. chance
// decides in mode Torn, and may be nil in the others. Owners and permissions are those of the end of the run.
func (d *Disk) Survivor(dst string, position int, mode Mode, chance *rand.Rand) error {
	r := Request{Disk: d.number, At: dst, Position: position, Mode: mode}
	if chance != nil {
		r.Seed = chance.Uint64()
	}
	return d.machine.call("Survivor", r, new(struct{}))
}

// Close takes away what is still mounted and ends the server. Its error tells when the server has failed before.
func (m *Machine) Close() error {
	closed := m.client.Close() // the server ends
	select {
	case <-m.child.Done():
	case <-time.After(closeLimit):
		_ = m.fail(fmt.Errorf("the disks' server did not end within %v", closeLimit))
		_ = m.cmd.Process.Kill()
		<-m.child.Done()
	}
	stale := removeStale() // of a server that could not do so itself
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && closed != nil && !errors.Is(closed, rpc.ErrShutdown) {
		m.err = fmt.Errorf("close a machine: %w", closed)
	}
	return errors.Join(m.err, stale)
}
