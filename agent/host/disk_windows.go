package host

import (
	"os"
	"path/filepath"
	"syscall"
	"unsafe"
)

// systemDisk is the root of the drive of the current directory.
func systemDisk() string {
	dir, err := os.Getwd()
	if err != nil {
		return `C:\`
	}
	return filepath.VolumeName(dir) + `\`
}

// space returns the size of the file system that path is on, and what is free for this user, in bytes.
func space(path string) (total, free int64, ok bool) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil || freeSpace.Find() != nil {
		return 0, 0, false
	}
	done, _, _ := freeSpace.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)),
		uintptr(unsafe.Pointer(&total)), 0)
	return total, free, done != 0
}
