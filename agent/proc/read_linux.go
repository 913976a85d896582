package proc

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// read reads a file, by its name in dir when there is one, into the buffer. It asks the kernel itself: an os.File for
// each of a thousand processes costs three times as much.
func (t *Table) read(dir *os.File, name string) []byte {
	at := -100 // AT_FDCWD
	if dir != nil {
		at = int(dir.Fd())
	}
	fd, err := syscall.Openat(at, name, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	n := 0
	for n < len(t.buf) {
		got, err := syscall.Read(fd, t.buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || got <= 0 {
			break
		}
		n += got
	}
	return t.buf[:n]
}

// clockBoottime is CLOCK_BOOTTIME of clock_gettime(2): it runs on in suspend.
const clockBoottime = 7

// SinceBoot is the time since the kernel started, 0 when unknown. It asks the kernel itself: in an LXC container
// /proc/uptime starts anew with the container, while the times of processes do not.
func SinceBoot() time.Duration {
	var at syscall.Timespec
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&at)), 0); e != 0 {
		return 0
	}
	return time.Duration(at.Nano())
}
