//go:build !linux

package postgrestest

import "os/exec"

// endWithParent can do nothing here: a server may outlive a test that was killed.
func endWithParent(*exec.Cmd) {}

// children is not known here.
func children(int) []int { return nil }
