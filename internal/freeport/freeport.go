//go:build unix

// Package freeport finds ports for servers that tests start.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Outgoing connections get a port of net.ipv4.ip_local_port_range, by default 32768 to 60999, from the kernel. A server that
// stops and starts again would find its port taken by one of them, so its port lies below.
const (
	first = 15000
	end   = 32000
)

var (
	mu   sync.Mutex
	held []*os.File // a lock goes with its file, and an *os.File that nobody holds is closed by the garbage collector
)

// Address is a loopback address (host:port) that nobody listens on, and that no other caller on this machine gets until this
// process ends.
func Address() (string, error) {
	port, err := Port()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// Port is Address's port.
func Port() (int, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("gensyn-monitor-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	start := rand.IntN(end - first)
	for i := range end - first {
		port := first + (start+i)%(end-first)
		free, err := take(dir, port)
		if free || err != nil {
			return port, err
		}
	}
	return 0, fmt.Errorf("find a free port: all from %d to %d are taken", first, end-1)
}

func take(dir string, port int) (bool, error) {
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("find a free port: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			err = l.Close()
		}
	}
	if err == nil {
		mu.Lock()
		held = append(held, lock)
		mu.Unlock()
		return true, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EADDRINUSE) {
		return false, nil
	}
	return false, fmt.Errorf("find a free port: %w", err)
}
