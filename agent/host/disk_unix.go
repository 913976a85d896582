//go:build linux || darwin

package host

import "syscall"

func systemDisk() string { return "/" }

// space returns the size of the file system that path is on, and what is free for programs, in bytes.
func space(path string) (total, free int64, ok bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil {
		return 0, 0, false
	}
	block := uint64(s.Bsize) // of another type on each system
	return int64(s.Blocks * block), int64(s.Bavail * block), true
}
