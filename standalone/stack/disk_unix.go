//go:build linux || darwin

package stack

import "syscall"

// halfDisk is half the size in bytes of the disk that holds dir, 0 when unknown.
func halfDisk(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(s.Blocks) * int64(s.Bsize) / 2 //nolint:unconvert // the types differ between systems
}
