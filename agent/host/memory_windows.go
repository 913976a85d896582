package host

import (
	"syscall"
	"unsafe"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	freeSpace    = kernel32.NewProc("GetDiskFreeSpaceExW")
	memoryStatus = kernel32.NewProc("GlobalMemoryStatusEx")
	tickCount    = kernel32.NewProc("GetTickCount64")
	systemTimes  = kernel32.NewProc("GetSystemTimes")
)

// memoryStatusEx is MEMORYSTATUSEX; the page file counts with the memory.
type memoryStatusEx struct {
	length, load                       uint32
	total, available                   uint64
	totalPage, availablePage           uint64
	totalVirtual, availableVirtual, ex uint64
}

// system asks the kernel of Windows.
func (r *Reader) system(m *contract.Metrics) {
	status := memoryStatusEx{length: uint32(unsafe.Sizeof(memoryStatusEx{}))}
	if memoryStatus.Find() == nil {
		if done, _, _ := memoryStatus.Call(uintptr(unsafe.Pointer(&status))); done != 0 {
			m.MemTotalBytes, m.MemUsedBytes = int64(status.total), int64(status.total-status.available)
		}
	}
	// In two halves on 32 bits, which this agent is not built for.
	if tickCount.Find() == nil {
		ms, _, _ := tickCount.Call()
		m.UptimeSec = float64(ms) / 1000
	}
	var idle, kernel, user syscall.Filetime
	if systemTimes.Find() != nil {
		return
	}
	done, _, _ := systemTimes.Call(uintptr(unsafe.Pointer(&idle)), uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user)))
	if done != 0 {
		// The time of the kernel includes that of idling.
		r.use(m, cpuTimes{idle: count(idle), all: count(kernel) + count(user)})
	}
}

func count(t syscall.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
