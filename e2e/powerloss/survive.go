package powerloss

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Mode is what the disk promises about what was not synced.
type Mode int

const (
	// Journalled is a file system such as ext4 at its worst: of a file, what its last fsync covered; of names and
	// sizes, all up to the last one that an fsync committed, in order.
	Journalled Mode = iota
	// Torn is Journalled where unsynced things may be there or not: each 512 bytes or 4 KiB of each unsynced write by
	// the toss of a coin, and names and sizes up to a random moment.
	Torn
	// OwnName is a file system that keeps no common order, such as a log of single files: an fsync makes safe the file
	// and its own name, with the folders above it; another name survives only if its folder was synced.
	OwnName
	// Minimal is the least that POSIX promises, less than the usual file systems of Linux do: a name, even of a synced
	// file, survives only if its own folder was synced.
	Minimal
)

// Modes are all of them.
var Modes = []Mode{Journalled, Torn, OwnName, Minimal}

// String implements fmt.Stringer.
func (m Mode) String() string {
	return [...]string{"journalled", "torn", "own name", "POSIX minimum"}[m]
}

// cut is the state of one disk when the power goes.
type cut struct {
	mode     Mode
	chance   *rand.Rand
	ops      []op
	covered  map[*inode]int // operations on the node below it are safe
	reached  map[*inode]int // likewise its own name
	parent   map[*inode]*inode
	commit   int // in modes that keep an order, names and sizes below it are safe
	contents map[*inode][]byte
	children map[*inode]map[string]*inode
}

// survivor writes into the empty directory dst what the disk holds after the power went at the position. chance
// decides in mode Torn, and may be nil in the others. Owners and permissions are those of the end of the run.
func (d *disk) survivor(dst string, position int, mode Mode, chance *rand.Rand) error {
	c := &cut{
		mode: mode, chance: chance, ops: d.journal.prefix(position),
		covered: map[*inode]int{}, reached: map[*inode]int{}, parent: map[*inode]*inode{}, contents: map[*inode][]byte{}, children: map[*inode]map[string]*inode{},
	}
	c.findSafe(d)
	c.applyNames(d)
	c.applyContents(d)
	if err := c.build(d.root, dst, map[*inode]string{}); err != nil {
		return fmt.Errorf("survivor at %d: %w", position, err)
	}
	return nil
}

// ordered reports whether the file system keeps its own changes in order.
func (m Mode) ordered() bool { return m == Journalled || m == Torn }

func (c *cut) findSafe(d *disk) {
	for _, e := range d.base {
		c.parent[e.node] = e.dir
	}
	for _, o := range c.ops {
		for _, e := range o.entries {
			if e.node != nil {
				c.parent[e.node] = e.dir
			}
		}
		if o.kind == synced && o.node.disk == d {
			c.covered[o.node] = max(c.covered[o.node], o.from)
			c.commit = max(c.commit, o.commit)
			for n := o.node; n != nil; n = c.parent[n] {
				c.reached[n] = max(c.reached[n], o.from)
			}
		}
	}
	if c.mode == Torn {
		c.commit += c.chance.IntN(len(c.ops) - c.commit + 1)
	}
}

func (c *cut) applyNames(d *disk) {
	for _, e := range d.base {
		c.set(e)
	}
	for i, o := range c.ops {
		for _, e := range o.entries {
			if e.dir.disk == d && c.keeps(i, o, e) {
				c.set(e)
			}
		}
	}
}

// keeps reports whether an entry of operation i is safe.
func (c *cut) keeps(i int, o op, e entry) bool {
	switch {
	case c.mode.ordered():
		return i < c.commit
	case i < c.covered[e.dir]:
		return true
	}
	return c.mode == OwnName && slices.ContainsFunc(o.entries, func(e entry) bool { return i < c.reached[e.node] })
}

func (c *cut) set(e entry) {
	names := c.children[e.dir]
	if names == nil {
		names = map[string]*inode{}
		c.children[e.dir] = names
	}
	if e.node == nil {
		delete(names, e.name)
		return
	}
	names[e.name] = e.node
}

func (c *cut) applyContents(d *disk) {
	for i, o := range c.ops {
		if o.node == nil || o.node.disk != d || o.kind == synced {
			continue
		}
		covered := i < c.covered[o.node]
		switch {
		case o.kind == resized && (covered || c.mode.ordered() && i < c.commit):
			c.contents[o.node] = extended(c.content(o.node), o.size)[:o.size]
		case o.kind == written && covered:
			c.put(o, 0, o.size)
		case o.kind == written && c.mode == Torn:
			c.tear(o)
		}
	}
}

// content returns what can be written to without changing what the disk began with.
func (c *cut) content(n *inode) []byte {
	data, ok := c.contents[n]
	if !ok {
		data = append(make([]byte, 0, len(n.base)+4096), n.base...)
	}
	return data
}

// put applies the part of a write between two offsets in it.
func (c *cut) put(o op, from, to int64) {
	data := extended(c.content(o.node), o.off+to)
	if o.data == nil {
		clear(data[o.off+from : o.off+to])
	} else {
		copy(data[o.off+from:o.off+to], o.data[from:to])
	}
	c.contents[o.node] = data
}

// tear applies what a coin says of an unsynced write: nothing, all, or some of its sectors or pages.
func (c *cut) tear(o op) {
	switch c.chance.IntN(3) {
	case 0:
		return
	case 1:
		c.put(o, 0, o.size)
		return
	}
	sector := []int64{512, 4096}[c.chance.IntN(2)]
	for from := int64(0); from < o.size; {
		to := min(o.size, (o.off+from)/sector*sector+sector-o.off)
		if c.chance.IntN(2) == 0 {
			c.put(o, from, to)
		}
		from = to
	}
}

// build writes a node to a path. done tells where each file was written already, for its other names.
func (c *cut) build(n *inode, path string, done map[*inode]string) error {
	if first, ok := done[n]; ok {
		return os.Link(first, path)
	}
	done[n] = path
	mode := os.FileMode(n.mode & 0o777)
	switch n.mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		return os.Symlink(n.target, path)
	case syscall.S_IFDIR:
		if err := os.Mkdir(path, mode); err != nil && !os.IsExist(err) {
			return err
		}
		for name, child := range c.children[n] {
			if err := c.build(child, filepath.Join(path, name), done); err != nil {
				return err
			}
		}
	default:
		data, ok := c.contents[n]
		if !ok {
			data = n.base
		}
		if err := os.WriteFile(path, data, mode); err != nil {
			return err
		}
	}
	if err := os.Chown(path, int(n.uid), int(n.gid)); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
