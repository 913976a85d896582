package powerloss

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// ErrNoFUSE means that this machine cannot mount a disk.
var ErrNoFUSE = errors.New("power loss needs FUSE: /dev/fuse must exist (modprobe fuse; of a container: --device /dev/fuse " +
	"--cap-add SYS_ADMIN), and either this runs as root or fuse3 is installed")

// errBusy and errLong say why a disk was taken away by force.
var (
	errBusy = fmt.Errorf("a program is still on it after %v: it was taken away", busyLimit)
	errLong = errors.New("it was mounted for longer than a test may take: it was taken away, whatever a program was waiting for")
)

// busyLimit is how long the last programs on a disk may take to go away.
const busyLimit = 30 * time.Second

// disk is a file system whose journal knows what is safe.
type disk struct {
	journal *journal
	root    *inode
	server  *fuse.Server
	at      string
	base    []entry // what was there when it was mounted; counted as safe

	mu    sync.Mutex
	limit *time.Timer
	gone  bool  // it is mounted no longer
	err   error // why it went too early
}

// mount reads the directory from into memory and mounts it at the directory at, which must exist. Everything in it
// counts as safe. After limit it is taken away by force.
func (j *journal) mount(from, at string, limit time.Duration) (*disk, error) {
	d := &disk{journal: j, at: at}
	var err error
	if d.root, err = d.load(from); err != nil {
		return nil, fmt.Errorf("read %s: %w", from, err)
	}
	if err := available("/dev/fuse"); err != nil {
		return nil, err
	}
	name, err := mountName(os.Getpid())
	if err != nil {
		return nil, err
	}
	// The kernel learns of nothing that it did not do itself, so it may remember names for ever.
	long := time.Hour
	d.server, err = fs.Mount(at, d.root, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long, NullPermissions: true,
		MountOptions: fuse.MountOptions{
			// Postgres is another user only when this is root; and only root may let others in unasked.
			DirectMount: true, AllowOther: os.Geteuid() == 0, Options: []string{"default_permissions"},
			FsName: name, Name: fileSystem, DisableXAttrs: true, DisableSplice: true, MaxWrite: 1 << 20,
		},
		OnAdd: func(ctx context.Context) { d.attach(ctx) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	d.limit = time.AfterFunc(limit, func() { d.take(errLong) })
	return d, nil
}

// available reports whether the device is there and may be used.
func available(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	return f.Close()
}

// unmount takes the disk away, waiting a while for programs that are still ending. What it recorded stays. It may be
// called again.
func (d *disk) unmount() error {
	for deadline := time.Now().Add(busyLimit); !d.release(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.take(errBusy)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return fmt.Errorf("unmount %s: %w", d.at, d.err)
	}
	return nil
}

// release unmounts the disk if no program is on it, and reports whether it is gone.
func (d *disk) release() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.gone && unmount(d.at) == nil {
		d.gone = true
		d.limit.Stop()
	}
	return d.gone
}

// take takes the disk away by force: whoever waits for it is answered with an error at once.
func (d *disk) take(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return
	}
	d.gone, d.err = true, errors.Join(why, forceUnmount(d.at))
}

// load reads a file or folder with all that is in it.
func (d *disk) load(path string) (*inode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("no owner known")
	}
	n := &inode{disk: d, mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: info.ModTime()}
	switch {
	case info.IsDir():
		return n, d.loadEntries(n, path)
	case info.Mode()&os.ModeSymlink != 0:
		n.target, err = os.Readlink(path)
	case info.Mode().IsRegular():
		n.data, err = os.ReadFile(path)
		n.base, n.shared = n.data, true
	default:
		return nil, fmt.Errorf("%s is neither a file nor a folder", path)
	}
	return n, err
}

func (d *disk) loadEntries(dir *inode, path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, one := range list {
		n, err := d.load(filepath.Join(path, one.Name()))
		if err != nil {
			return err
		}
		d.base = append(d.base, entry{dir: dir, name: one.Name(), node: n})
	}
	return nil
}

// attach gives the kernel's view of the tree what was loaded. Entries of a folder come after those inside it, so it
// goes backwards.
func (d *disk) attach(ctx context.Context) {
	for i := len(d.base) - 1; i >= 0; i-- {
		e := d.base[i]
		child := e.dir.NewPersistentInode(ctx, e.node, fs.StableAttr{Mode: e.node.mode & syscall.S_IFMT})
		e.dir.AddChild(e.name, child, false)
	}
}
