package powerloss

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// ErrNoFUSE means that this machine cannot mount a disk.
var ErrNoFUSE = errors.New("power loss needs FUSE: /dev/fuse must exist, and either this runs as root or fuse3 is installed")

// Disk is a mounted file system whose journal knows what is safe.
type Disk struct {
	journal *Journal
	root    *inode
	server  *fuse.Server
	at      string
	base    []entry // what was there when it was mounted; counted as safe
}

// Mount reads the directory from into memory and mounts it at the directory at, which must exist. Everything in it
// counts as safe. The caller unmounts it after the last program on it has ended.
//
// This process serves the disk: it must not start programs with their working directory, binary or output on it.
func (j *Journal) Mount(from, at string) (*Disk, error) {
	d := &Disk{journal: j, at: at}
	var err error
	if d.root, err = d.load(from); err != nil {
		return nil, fmt.Errorf("read %s: %w", from, err)
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	// The kernel learns of nothing that it did not do itself, so it may remember names for ever.
	long := time.Hour
	d.server, err = fs.Mount(at, d.root, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long, NullPermissions: true,
		MountOptions: fuse.MountOptions{
			DirectMount: true, AllowOther: true, Options: []string{"default_permissions"},
			FsName: "powerloss", Name: "powerloss", DisableXAttrs: true, MaxWrite: 1 << 20,
		},
		OnAdd: func(ctx context.Context) { d.attach(ctx) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	return d, nil
}

// Unmount takes the disk away, waiting a while for programs that are still ending. What it recorded stays.
func (d *Disk) Unmount() error {
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = syscall.Unmount(d.at, 0); err == nil || !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("unmount %s: %w", d.at, err), syscall.Unmount(d.at, syscall.MNT_DETACH))
	}
	d.server.Wait()
	return err
}

// load reads a file or folder with all that is in it.
func (d *Disk) load(path string) (*inode, error) {
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

func (d *Disk) loadEntries(dir *inode, path string) error {
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
func (d *Disk) attach(ctx context.Context) {
	for i := len(d.base) - 1; i >= 0; i-- {
		e := d.base[i]
		child := e.dir.NewPersistentInode(ctx, e.node, fs.StableAttr{Mode: e.node.mode & syscall.S_IFMT})
		e.dir.AddChild(e.name, child, false)
	}
}
