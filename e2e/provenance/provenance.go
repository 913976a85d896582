// Package provenance says where figures come from: which commit, which machine.
package provenance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Commit is the one that is checked out, marked dirty when files differ from it.
func Commit(ctx context.Context) (string, error) {
	id, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "", fmt.Errorf("git describe: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// Machine describes this one, as Linux tells it.
func Machine() (string, error) {
	model, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return "", err
	}
	memory, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return "", err
	}
	kib, err := strconv.ParseUint(strings.TrimSuffix(memory, " kB"), 10, 64)
	if err != nil {
		return "", fmt.Errorf("memory: %w", err)
	}
	return fmt.Sprintf("%s, %d cores, %d GiB, %s/%s, %s", model, runtime.NumCPU(), (kib+1<<19)>>20, runtime.GOOS, runtime.GOARCH, runtime.Version()), nil
}

// field is the value of the first line "name : value" of a file.
func field(file, name string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("machine: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("machine: no %q in %s", name, file)
}
