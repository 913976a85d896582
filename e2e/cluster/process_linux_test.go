package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// These make the test binary a program that starts a process, or that process, which answers at an address.
const (
	parentVar = "CLUSTER_TEST_PARENT" // a folder
	childVar  = "CLUSTER_TEST_CHILD"  // an address
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVar); dir != "" {
		parent(dir)
	}
	if addr := os.Getenv(childVar); addr != "" {
		time.AfterFunc(time.Minute, func() { os.Exit(1) }) // should it outlive its parent after all
		fmt.Println(http.ListenAndServe(addr, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func parent(dir string) {
	addr, err := freeport.Address()
	if err == nil {
		p := &cluster.Process{
			Name: "child", Path: os.Args[0], Env: []string{childVar + "=" + addr}, Ready: "http://" + addr, Log: filepath.Join(dir, "log"),
		}
		done := make(chan error)
		go func() { done <- p.Start(context.Background()) }() // by another goroutine, as tests do
		err = <-done
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(addr)
	select {}
}

// A process must not outlive a test binary that is killed, which has no chance to stop it.
func TestItEndsWithTheProcessThatStartedIt(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), parentVar+"="+t.TempDir()), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("the process did not start: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", strings.TrimSpace(line))
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the process outlived the one that started it")
		}
	}
}
