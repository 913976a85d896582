//go:build unix

package probe

import "syscall"

// canOpen reports whether this user may use a socket.
func canOpen(socket string) bool { return syscall.Access(socket, 2) == nil } // W_OK
