package agent

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// dontNeed is MADV_DONTNEED of madvise(2): the pages are dropped, and come back from the file when they are next used.
const dontNeed = 4

// program are the parts of memory that show this program's file and cannot be written to.
var program = sync.OnceValue(func() [][2]uintptr {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil || !fixed(exe) {
		return nil
	}
	data, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	return mapped(string(data), exe)
})

// fixed reports whether a program is loaded where it was linked to: a position-independent one has read-only pages that
// the loader wrote to. Byte 16 of an ELF file is its type, and 2 says so.
func fixed(program string) bool {
	f, err := os.Open(program)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [17]byte
	n, err := f.ReadAt(head[:], 0)
	return err == nil && n == len(head) && string(head[:4]) == "\x7fELF" && head[16] == 2
}

// mapped finds the private mappings of a file that cannot be written to, in lines such as
// "00400000-007c5000 r-xp 00000000 fe:01 1234   /usr/local/bin/gensyn-agent". Dropping one that was written to would
// lose what was written.
func mapped(maps, file string) (out [][2]uintptr) {
	for line := range strings.Lines(maps) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "r-xp" && f[1] != "r--p" || strings.Join(f[5:], " ") != file {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		begin, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && begin < end {
			out = append(out, [2]uintptr{uintptr(begin), uintptr(end)})
		}
	}
	return out
}

// pageOut drops the pages of the program itself, all but the few that the sleep needs. They stay in the system's cache
// of files, which it may use for something better.
func pageOut() {
	for _, m := range program() {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m[0], m[1]-m[0], dontNeed)
	}
}
