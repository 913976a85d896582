package main

import "os"

// privileged reports whether this process may change the system: only administrators can open a disk as such.
func privileged() bool {
	f, err := os.Open(`\\.\PHYSICALDRIVE0`)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
