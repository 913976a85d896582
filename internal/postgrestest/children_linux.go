package postgrestest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// children are the processes that a postmaster started. They end by themselves some time after it is killed, and may
// answer until then, which those of a crashed machine do not.
func children(pid int) (pids []int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // a kernel without it
	}
	for field := range strings.FieldsSeq(string(data)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}
