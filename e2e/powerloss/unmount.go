package powerloss

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// fileSystem is how the kernel calls ours, after "fuse.".
const fileSystem = "powerloss"

// mountName names the disks of a process after it, so that others can tell when it is gone: the process's number, and
// when it began, for numbers come again.
func mountName(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("name a disk: %w", err)
	}
	// The second field is a name in parentheses and may hold anything; the beginning is field 22, see proc(5).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("name a disk: /proc/%d/stat has only %d fields", pid, len(fields))
	}
	return fmt.Sprintf("%s-%d-%s", fileSystem, pid, fields[19]), nil
}

// unmount fails while a program is on the disk.
func unmount(at string) error {
	if os.Geteuid() == 0 {
		return syscall.Unmount(at, 0)
	}
	return fusermount("-u", at)
}

// forceUnmount never waits. As root it also answers every request on its way with an error, and so frees programs that
// would wait for a dead server for ever, even after kill -9.
func forceUnmount(at string) error {
	if os.Geteuid() == 0 {
		return syscall.Unmount(at, syscall.MNT_FORCE|syscall.MNT_DETACH)
	}
	return fusermount("-u", "-z", at)
}

func fusermount(args ...string) error {
	if out, err := exec.Command("fusermount3", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// mounts lists the disks that are mounted now: their places, by the name of the process that serves them.
func mounts() (map[string][]string, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	defer f.Close()
	return readMounts(f)
}

func readMounts(r io.Reader) (map[string][]string, error) {
	out := map[string][]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 2 && fields[2] == "fuse."+fileSystem {
			out[fields[0]] = append(out[fields[0]], fields[1])
		}
	}
	return out, lines.Err()
}

// removeStale takes away what processes that are gone have left mounted.
func removeStale() error {
	all, err := mounts()
	if err != nil {
		return err
	}
	var errs []error
	for name, places := range all {
		var pid int
		if _, err := fmt.Sscanf(name, fileSystem+"-%d-", &pid); err != nil {
			continue
		}
		if now, err := mountName(pid); err == nil && now == name {
			continue
		}
		for _, at := range places {
			// Another test may be doing the same.
			if err := forceUnmount(at); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
				errs = append(errs, fmt.Errorf("remove a disk that was left at %s: %w", at, err))
			}
		}
	}
	return errors.Join(errs...)
}
