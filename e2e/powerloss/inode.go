package powerloss

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// inode is a file, a folder or a symbolic link. Everything below the first group is guarded by the journal's lock.
type inode struct {
	fs.Inode
	disk   *disk
	target string // of a symbolic link
	base   []byte // the content when the disk was mounted

	mode, uid, gid uint32
	mtime          time.Time
	data           []byte
	shared         bool // data is base still
	// The journal's position after the last change, and after the last one of size or name.
	changed, reshaped int
}

var (
	_ fs.NodeCreater   = (*inode)(nil)
	_ fs.NodeMkdirer   = (*inode)(nil)
	_ fs.NodeSymlinker = (*inode)(nil)
	_ fs.NodeLinker    = (*inode)(nil)
	_ fs.NodeUnlinker  = (*inode)(nil)
	_ fs.NodeRmdirer   = (*inode)(nil)
	_ fs.NodeRenamer   = (*inode)(nil)
	_ fs.NodeGetattrer = (*inode)(nil)
	_ fs.NodeSetattrer = (*inode)(nil)
	_ fs.NodeOpener    = (*inode)(nil)
	_ fs.NodeFsyncer   = (*inode)(nil)
	_ fs.NodeStatfser  = (*inode)(nil)
)

// child makes a new node of the caller's and names it in this folder.
func (n *inode) child(ctx context.Context, name string, c *inode, out *fuse.EntryOut) *fs.Inode {
	c.disk, c.mtime = n.disk, time.Now()
	if caller, ok := fuse.FromContext(ctx); ok {
		c.uid, c.gid = caller.Uid, caller.Gid
	}
	made := n.NewPersistentInode(ctx, c, fs.StableAttr{Mode: c.mode & syscall.S_IFMT})
	n.rename(entry{dir: n, name: name, node: c})
	c.attributes(&out.Attr)
	return made
}

// rename records new meanings of names.
func (n *inode) rename(entries ...entry) {
	j := n.disk.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(op{kind: named, entries: entries})
}

// named returns the node that a name in this folder means, or nil.
func (n *inode) named(name string) *inode {
	if c := n.GetChild(name); c != nil {
		return c.Operations().(*inode)
	}
	return nil
}

// Create implements fs.NodeCreater.
func (n *inode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	c := &inode{mode: syscall.S_IFREG | mode&0o7777}
	made := n.child(ctx, name, c, out)
	return made, &handle{node: c, flags: flags}, openFlags(name), 0
}

// Mkdir implements fs.NodeMkdirer.
func (n *inode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.child(ctx, name, &inode{mode: syscall.S_IFDIR | mode&0o7777}, out), 0
}

// Symlink implements fs.NodeSymlinker.
func (n *inode) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.child(ctx, name, &inode{mode: syscall.S_IFLNK | 0o777, target: target}, out), 0
}

// Readlink implements fs.NodeReadlinker.
func (n *inode) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(n.target), 0 }

// Link implements fs.NodeLinker.
func (n *inode) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c := target.EmbeddedInode().Operations().(*inode)
	n.rename(entry{dir: n, name: name, node: c})
	c.attributes(&out.Attr)
	return c.EmbeddedInode(), 0
}

// Unlink implements fs.NodeUnlinker.
func (n *inode) Unlink(_ context.Context, name string) syscall.Errno {
	n.rename(entry{dir: n, name: name})
	return 0
}

// Rmdir implements fs.NodeRmdirer.
func (n *inode) Rmdir(ctx context.Context, name string) syscall.Errno {
	if c := n.named(name); c != nil && len(c.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	return n.Unlink(ctx, name)
}

// Rename implements fs.NodeRenamer. The kernel itself refuses to replace where that is asked for.
func (n *inode) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags&fs.RENAME_EXCHANGE != 0 {
		return syscall.EINVAL
	}
	dir := to.EmbeddedInode().Operations().(*inode)
	if old := dir.named(newName); old != nil && len(old.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	n.rename(entry{dir: n, name: name}, entry{dir: dir, name: newName, node: n.named(name)})
	return 0
}

// attributes fills in what stat(2) shows.
func (n *inode) attributes(out *fuse.Attr) {
	n.disk.journal.mu.Lock()
	defer n.disk.journal.mu.Unlock()
	out.Mode, out.Uid, out.Gid = n.mode, n.uid, n.gid
	out.Size = uint64(len(n.data) + len(n.target))
	out.Blocks, out.Blksize, out.Nlink = (out.Size+511)/512, 4096, 1
	out.SetTimes(&n.mtime, &n.mtime, &n.mtime)
}

// Getattr implements fs.NodeGetattrer.
func (n *inode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.attributes(&out.Attr)
	return 0
}

// Setattr implements fs.NodeSetattrer.
func (n *inode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		n.resize(int64(size))
	}
	n.change(in)
	n.attributes(&out.Attr)
	return 0
}

func (n *inode) change(in *fuse.SetAttrIn) {
	n.disk.journal.mu.Lock()
	defer n.disk.journal.mu.Unlock()
	if mode, ok := in.GetMode(); ok {
		n.mode = n.mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		n.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.gid = gid
	}
	if mtime, ok := in.GetMTime(); ok {
		n.mtime = mtime
	}
}

func (n *inode) resize(size int64) {
	j := n.disk.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	n.grow(size)
	n.data = n.data[:size]
	j.add(op{kind: resized, node: n, size: size})
	n.reshaped = n.changed
}

// grow makes the content this process's own, and at least so long. The caller holds the lock.
func (n *inode) grow(size int64) {
	if n.shared {
		n.data, n.shared = slices.Clone(n.data), false
	}
	n.data = extended(n.data, size)
}

// extended returns data with zeros after it up to size bytes.
func extended(data []byte, size int64) []byte {
	more := int(size) - len(data)
	if more <= 0 {
		return data
	}
	old := len(data)
	data = slices.Grow(data, more)[:size]
	clear(data[old:])
	return data
}

// Open implements fs.NodeOpener.
func (n *inode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		n.resize(0)
	}
	name, _ := n.Parent()
	return &handle{node: n, flags: flags}, openFlags(name), 0
}

// openFlags keeps the kernel from caching a file's content, except where it is to be mapped.
func openFlags(name string) uint32 {
	if strings.HasSuffix(name, "-shm") {
		return 0
	}
	return fuse.FOPEN_DIRECT_IO
}

// fdatasync is FUSE_FSYNC_FDATASYNC of linux/fuse.h.
const fdatasync = 1

// Fsync implements fs.NodeFsyncer, for files and folders.
func (n *inode) Fsync(_ context.Context, _ fs.FileHandle, flags uint32) syscall.Errno {
	n.disk.journal.sync(n, flags&fdatasync != 0)
	return 0
}

// Statfs implements fs.NodeStatfser: a disk with room.
func (n *inode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, NameLen: 255, Blocks: 16 << 20, Bfree: 8 << 20, Bavail: 8 << 20, Files: 1 << 20, Ffree: 1 << 20}
	return 0
}
