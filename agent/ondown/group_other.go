//go:build !unix

package ondown

import (
	"os/exec"
	"strconv"
)

func shellArgs(text string) (string, []string) { return "cmd", []string{"/C", text} }

// group has the command and its children killed when its context ends.
func group(cmd *exec.Cmd) {
	cmd.Cancel = func() error {
		return exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run()
	}
}

// killGroup has nothing left to do.
func killGroup(*exec.Cmd) {}
