//go:build unix

package command_test

import (
	"os/exec"
	"strconv"
	"strings"
)

// zombie reports whether a process has ended and only waits for its parent.
func zombie(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}
