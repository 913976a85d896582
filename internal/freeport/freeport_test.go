//go:build unix

package freeport_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

const perProcess = 200

func TestMain(m *testing.M) {
	if os.Getenv("PRINT_PORTS") == "" {
		os.Exit(m.Run())
	}
	for range perProcess {
		fmt.Println(freeport.Port())
	}
	_, _ = fmt.Scanln() // until the parent lets go
}

func TestNoPortIsGivenTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 4 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), "PRINT_PORTS=1")
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { in.Close(); _ = child.Wait() }()
		for range perProcess {
			var port, failed string
			if _, err := fmt.Fscanln(out, &port, &failed); err != nil || failed != "<nil>" || seen[port] {
				t.Fatalf("port %s, again %v: %s, %v", port, seen[port], failed, err)
			}
			seen[port] = true
		}
	}
}

func TestNobodyListensAndTheKernelGivesItToNobody(t *testing.T) {
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	local, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip("no Linux")
	}
	var from, to int
	if _, err := fmt.Sscan(strings.TrimSpace(string(local)), &from, &to); err != nil {
		t.Fatal(err)
	}
	if port := l.Addr().(*net.TCPAddr).Port; port >= from && port <= to {
		t.Errorf("port %d is one of those for outgoing connections, %d to %d", port, from, to)
	}
}
