//go:build !unix

package command

import "os/exec"

func shell(line string) *exec.Cmd { return exec.Command("cmd", "/C", line) }

func group(*exec.Cmd) {}

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
