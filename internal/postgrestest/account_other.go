//go:build !unix

package postgrestest

import "os/exec"

// account is the user that the server runs as: that of this process.
type account struct{}

func unprivileged() (*account, error) { return nil, nil }

func (a *account) own(string) error { return nil }

func (a *account) apply(*exec.Cmd) {}
