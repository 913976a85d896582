//go:build !windows

package main

import "os"

// privileged reports whether this process may change the system.
func privileged() bool { return os.Geteuid() == 0 }
