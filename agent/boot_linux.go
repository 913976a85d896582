package agent

import (
	"syscall"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME of clock_gettime(2): it runs on in suspend.
const clockBoottime = 7

// sinceBoot asks the kernel itself. /proc/uptime would not do: in an LXC container it starts anew with the container,
// while boot_id stays, and the monitor would take the new heartbeats for old ones.
func sinceBoot() int64 {
	var t syscall.Timespec
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&t)), 0); e != 0 {
		return 0
	}
	return t.Nano() / 1e6
}
