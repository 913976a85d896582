package powerloss

import (
	"sync"
	"time"
)

// journal is the order of everything done to the disks of one machine. It is safe for concurrent use.
type journal struct {
	// syncDelay is how long an fsync takes at least, so that other operations come between, as on a real disk.
	syncDelay time.Duration

	mu  sync.Mutex
	ops []op
}

type kind int

const (
	written kind = iota // data, or size zeros, at off
	resized             // to size; by truncate or fallocate
	named               // directory entries changed, all at once
	synced              // an fsync completed
)

// op is one operation. It took place when it entered the journal, before its caller was answered.
type op struct {
	kind      kind
	node      *inode // of written, resized, synced
	off, size int64
	data      []byte // nil for zeros
	entries   []entry
	// Of synced: what the fsync covers are operations below from; the file system's own journal, in which entries and
	// sizes are kept in order, is on the disk up to commit.
	from, commit int
}

// entry is what a name in a directory means from now on; a nil node means that it is gone.
type entry struct {
	dir  *inode
	name string
	node *inode
}

// Position is the number of operations so far. Whatever somebody was told before asking lies below it.
func (j *journal) position() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.ops)
}

// syncs returns the positions right after completed fsyncs in (from, to]: the moments at which something became safe.
func (j *journal) syncs(from, to int) []int {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []int
	for i := from; i < min(to, len(j.ops)); i++ {
		if j.ops[i].kind == synced {
			out = append(out, i+1)
		}
	}
	return out
}

// prefix returns the operations below a position. They do not change any more.
func (j *journal) prefix(position int) []op {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ops[:min(position, len(j.ops))]
}

// add appends an operation and notes who it changed. The caller holds the lock.
func (j *journal) add(o op) {
	j.ops = append(j.ops, o)
	at := len(j.ops)
	if o.node != nil && o.kind != synced {
		o.node.changed = at
	}
	for _, e := range o.entries {
		for _, n := range []*inode{e.dir, e.node} {
			if n != nil {
				n.changed, n.reshaped = at, at
			}
		}
	}
}

// sync records an fsync, or an fdatasync when it is for the data alone. As on ext4, it commits the file system's
// journal up to the last change of that file, not more: an fdatasync ignores changes of its times.
func (j *journal) sync(n *inode, dataOnly bool) {
	j.mu.Lock()
	o := op{kind: synced, node: n, from: len(j.ops), commit: n.changed}
	if dataOnly {
		o.commit = n.reshaped
	}
	j.mu.Unlock()
	if j.syncDelay > 0 {
		time.Sleep(j.syncDelay)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(o)
}
