// Package tail reads what programs add to their log files.
package tail

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	contextBytes = 64       // before a position, to know the file again
	maxPartial   = 16 << 10 // a line without an end is taken as one beyond it
	maxRotated   = 8        // files beside a log that are looked at for what it was before
)

// Position is how far a file was read. Its zero value is before everything.
type Position struct {
	Offset int64  `json:"offset"`
	Inode  uint64 `json:"inode,omitempty"`  // 0 where there is none
	Before uint32 `json:"before,omitempty"` // checksum of the bytes before Offset
	Within bool   `json:"within,omitempty"` // it is within a line, whose begin was taken as one
}

// File is one log between two looks. The caller reads it once and closes it.
type File struct {
	Path    string
	Changed time.Time // when something was added last
	First   bool      // whether it was never read before

	pos  *Position
	file *os.File
	size int64
	info os.FileInfo
	old  *os.File // the file that was read before, when it was moved or copied away
	rest int64    // bytes of old that were not read

	within bool // the rest of old begins within a line
}

// Open looks at a file and how much was added to it behind pos, which Read moves on. It knows the file again by its
// inode and by what stands before the position, so it notices that it was replaced or emptied, also when it has grown
// beyond the position again, and finds the rest of the old one beside it.
func Open(path string, pos *Position) (*File, error) {
	f, info, err := open(path)
	if err != nil {
		return nil, err
	}
	t := &File{Path: path, Changed: info.ModTime(), First: *pos == Position{}, pos: pos, file: f, size: info.Size(), info: info}
	if !t.same(f, info) {
		t.findOld()
		t.within, pos.Within = pos.Within, false
		pos.Offset, pos.Before = 0, 0
	}
	pos.Inode = inode(info)
	return t, nil
}

// open opens a regular file. It looks before: to open a pipe waits for its writer.
func open(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &os.PathError{Op: "tail", Path: path, Err: errors.New("it is no regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// same reports whether f is the file that was read up to the position.
func (t *File) same(f *os.File, info os.FileInfo) bool {
	if t.pos.Inode != 0 && t.pos.Inode != inode(info) {
		return false
	}
	return holds(f, info.Size(), *t.pos)
}

// was reports whether f is what was read before, moved or copied. A file of which nothing was read has only its inode.
func (t *File) was(f *os.File, info os.FileInfo) bool {
	if t.pos.Offset == 0 {
		return t.pos.Inode != 0 && t.pos.Inode == inode(info)
	}
	return holds(f, info.Size(), *t.pos)
}

// holds reports whether the bytes before a position are in a file.
func holds(f *os.File, size int64, pos Position) bool {
	return size >= pos.Offset && checksum(f, pos.Offset) == pos.Before
}

func checksum(f *os.File, offset int64) uint32 {
	if offset == 0 {
		return 0
	}
	var buf [contextBytes]byte
	n := min(offset, contextBytes)
	if _, err := f.ReadAt(buf[:n], offset-n); err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(buf[:n])
}

// findOld looks for what the file was before: log.1, log-20260101 and the like.
func (t *File) findOld() {
	dir, base := filepath.Split(t.Path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return
	}
	var names []string
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), base); ok && rest != "" && strings.Contains(".-", rest[:1]) {
			names = append(names, dir+e.Name())
		}
	}
	slices.Sort(names) // log.1 first
	for _, name := range names[:min(len(names), maxRotated)] {
		f, info, err := open(name)
		if err != nil {
			continue
		}
		if t.was(f, info) {
			t.old, t.rest = f, info.Size()-t.pos.Offset
			return
		}
		f.Close()
	}
}

// Pending is how many bytes wait to be read.
func (t *File) Pending() int64 { return t.rest + t.size - t.pos.Offset }

// Skip takes all that waits as read.
func (t *File) Skip() {
	t.rest = 0
	t.pos.Offset = t.size
	t.pos.Before = checksum(t.file, t.size)
	var last [1]byte
	_, err := t.file.ReadAt(last[:], t.size-1)
	t.pos.Within = err == nil && last[0] != '\n' && last[0] != '\r'
}

// Close frees the file.
func (t *File) Close() {
	t.file.Close()
	if t.old != nil {
		t.old.Close()
	}
}

// Read returns the lines among the last limit bytes that wait, clean (see Lines), and moves the position on. What is
// older is skipped, and counted in bytes; so is the end of a line whose begin was skipped, or taken as a line for its
// length: without its begin nobody knows what a secret is. A last line without an end waits for it.
func (t *File) Read(limit int64) (lines []string, skipped int64) {
	pending := t.Pending()
	skipped = max(pending-limit, 0)
	skip := skipped
	if t.rest > skip {
		text, _ := read(t.old, t.pos0()+skip, t.rest-skip)
		lines = Lines(t.whole(text, skip > 0 || t.within))
	}
	skip = max(skip-t.rest, 0)
	begin := t.pos.Offset + skip
	text, err := read(t.file, begin, t.size-begin)
	if err != nil {
		return lines, skipped
	}
	end := complete(text)
	within := skip > 0 || t.pos.Within
	lines = append(lines, Lines(t.whole(text[:end], within))...)
	if end > 0 {
		t.pos.Within = text[end-1] != '\n' && text[end-1] != '\r'
	}
	t.pos.Offset = begin + int64(end)
	t.pos.Before = checksum(t.file, t.pos.Offset)
	return lines, skipped
}

// pos0 is where the unread rest of the old file begins.
func (t *File) pos0() int64 {
	info, err := t.old.Stat()
	if err != nil {
		return 0
	}
	return info.Size() - t.rest
}

// whole drops the end of a line whose begin was skipped.
func (t *File) whole(text []byte, cut bool) []byte {
	if !cut {
		return text
	}
	i := bytes.IndexAny(text, "\r\n")
	if i < 0 {
		return nil
	}
	return text[i+1:]
}

func read(f *os.File, offset, n int64) ([]byte, error) {
	buf := make([]byte, max(n, 0))
	got, err := f.ReadAt(buf, offset)
	if err == io.EOF {
		err = nil
	}
	return buf[:got], err
}

// complete is the length of text up to the end of its last whole line.
func complete(text []byte) int {
	end := bytes.LastIndexAny(text, "\r\n") + 1
	if len(text)-end > maxPartial {
		return len(text)
	}
	return end
}

// Share divides a limit among what waits in several files: who wants less than an equal share leaves the rest to others.
func Share(limit int64, pending []int64) []int64 {
	order := make([]int, len(pending))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(min(max(pending[a]-pending[b], -1), 1)) })
	shares := make([]int64, len(pending))
	for i, which := range order {
		shares[which] = min(pending[which], limit/int64(len(order)-i))
		limit -= shares[which]
	}
	return shares
}
