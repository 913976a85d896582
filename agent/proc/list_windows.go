package proc

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var (
	list func(ctx context.Context) ([]listing, error) = listWindows

	queryProcess = syscall.NewLazyDLL("ntdll.dll").NewProc("NtQueryInformationProcess")
	readMemory   = syscall.NewLazyDLL("kernel32.dll").NewProc("ReadProcessMemory")
)

const (
	// Rights and a class of information that the package syscall does not name.
	queryLimited    = 0x1000 // PROCESS_QUERY_LIMITED_INFORMATION
	readAll         = 0x0410 // PROCESS_QUERY_INFORMATION and PROCESS_VM_READ
	basicInfo       = 0      // ProcessBasicInformation
	commandLineInfo = 60     // ProcessCommandLineInformation, since Windows 8.1
)

// listWindows takes a snapshot of all processes. Those that may not be opened have the name of their program as their
// command line.
func listWindows(ctx context.Context) ([]listing, error) {
	snapshot, err := syscall.CreateToolhelp32Snapshot(syscall.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer syscall.CloseHandle(snapshot)
	var all []listing
	buf := make([]byte, maxRead)
	entry := syscall.ProcessEntry32{Size: uint32(unsafe.Sizeof(syscall.ProcessEntry32{}))}
	for err = syscall.Process32First(snapshot, &entry); err == nil && ctx.Err() == nil; err = syscall.Process32Next(snapshot, &entry) {
		l := listing{line: syscall.UTF16ToString(entry.ExeFile[:])}
		l.PID, l.Parent, l.Name = int(entry.ProcessID), int(entry.ParentProcessID), l.line
		look(&l, buf)
		l.Args = strings.Fields(l.line)
		all = append(all, l)
	}
	return all, ctx.Err()
}

// look finds the command line and the age of a process.
func look(l *listing, buf []byte) {
	h, err := syscall.OpenProcess(queryLimited, false, uint32(l.PID))
	if err != nil {
		return
	}
	defer syscall.CloseHandle(h)
	var begun, ended, kernel, user syscall.Filetime
	if syscall.GetProcessTimes(h, &begun, &ended, &kernel, &user) == nil {
		l.Age = max(time.Since(time.Unix(0, begun.Nanoseconds())), 0)
	}
	line := commandLine(h, buf)
	if line == "" {
		line = commandLineOfMemory(l.PID)
	}
	if line != "" {
		l.line = line
	}
}

// commandLine asks the kernel.
func commandLine(h syscall.Handle, buf []byte) string {
	if queryProcess.Find() != nil {
		return ""
	}
	var size uint32
	status, _, _ := queryProcess.Call(uintptr(h), commandLineInfo, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)),
		uintptr(unsafe.Pointer(&size)))
	if status != 0 {
		return ""
	}
	text := *(*unicodeString)(unsafe.Pointer(&buf[0]))
	if text.at == 0 || text.length == 0 {
		return ""
	}
	// The text follows in buf.
	return syscall.UTF16ToString(unsafe.Slice((*uint16)(unsafe.Pointer(&buf[unsafe.Sizeof(text)])), text.length/2))
}

// unicodeString is UNICODE_STRING: length and room in bytes, and the address of the text.
type unicodeString struct {
	length, room uint16
	at           uintptr
}

// commandLineOfMemory reads where a process keeps its command line: systems that do not know the question above have
// it, too. The offsets are those of 64 bits: of ProcessParameters in PEB, and of CommandLine in them.
func commandLineOfMemory(pid int) string {
	h, err := syscall.OpenProcess(readAll, false, uint32(pid))
	if err != nil {
		return ""
	}
	defer syscall.CloseHandle(h)
	var basic struct{ status, peb, affinity, priority, pid, parent uintptr }
	status, _, _ := queryProcess.Call(uintptr(h), basicInfo, uintptr(unsafe.Pointer(&basic)), unsafe.Sizeof(basic), 0)
	var parameters uintptr
	var text unicodeString
	if status != 0 || !peek(h, basic.peb+0x20, unsafe.Pointer(&parameters), unsafe.Sizeof(parameters)) ||
		!peek(h, parameters+0x70, unsafe.Pointer(&text), unsafe.Sizeof(text)) || text.length == 0 {
		return ""
	}
	line := make([]uint16, text.length/2)
	if !peek(h, text.at, unsafe.Pointer(&line[0]), uintptr(len(line))*2) {
		return ""
	}
	return syscall.UTF16ToString(line)
}

// peek copies memory of a process.
func peek(h syscall.Handle, at uintptr, to unsafe.Pointer, n uintptr) bool {
	done, _, _ := readMemory.Call(uintptr(h), at, uintptr(to), n, 0)
	return done != 0
}
