package powerloss

import (
	"bytes"
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// handle is an open file.
type handle struct {
	node  *inode
	flags uint32
}

var (
	_ fs.FileReader    = (*handle)(nil)
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileAllocater = (*handle)(nil)
)

// Read implements fs.FileReader.
func (h *handle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.node.disk.journal.mu.Lock()
	defer h.node.disk.journal.mu.Unlock()
	n := 0
	if off < int64(len(h.node.data)) {
		n = copy(dest, h.node.data[off:])
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write implements fs.FileWriter.
func (h *handle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	h.node.write(data, off)
	if h.flags&syscall.O_DSYNC != 0 { // which is a part of O_SYNC
		h.node.disk.journal.sync(h.node, h.flags&syscall.O_SYNC != syscall.O_SYNC)
	}
	return uint32(len(data)), 0
}

func (n *inode) write(data []byte, off int64) {
	j := n.disk.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	end := off + int64(len(data))
	grows := end > int64(len(n.data))
	n.grow(end)
	copy(n.data[off:], data)
	o := op{kind: written, node: n, off: off, size: int64(len(data))}
	if !zeros(data) {
		o.data = bytes.Clone(data)
	}
	j.add(o)
	if grows {
		n.reshaped = n.changed
	}
}

var zero [64 << 10]byte

// zeros reports whether the data is nothing else; Postgres fills new files of its log with megabytes of them.
func zeros(data []byte) bool {
	for len(data) > len(zero) {
		if !bytes.Equal(data[:len(zero)], zero[:]) {
			return false
		}
		data = data[len(zero):]
	}
	return bytes.Equal(data, zero[:len(data)])
}

// Allocate implements fs.FileAllocater: room at the end, nothing else.
func (h *handle) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	h.node.disk.journal.mu.Lock()
	long := int64(off+size) > int64(len(h.node.data))
	h.node.disk.journal.mu.Unlock()
	if long {
		h.node.resize(int64(off + size))
	}
	return 0
}
