package powerloss

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
)

// parentVariable makes this test binary a test that is killed: it mounts a disk at a folder, tells its server's process
// number and waits.
const parentVariable = "POWERLOSS_PARENT"

// parentIfAsked does not return when this process is to be that.
func parentIfAsked() {
	at := os.Getenv(parentVariable)
	if at == "" {
		return
	}
	m, err := NewMachine(0)
	if err == nil {
		_, err = m.Mount(at, at)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(m.cmd.Process.Pid)
	select {}
}

// parent starts such a test and returns the name of its disks.
func parent(t *testing.T, at string) (cmd *exec.Cmd, server int, name string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), parentVariable+"="+at), os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	_, err = fmt.Sscan(line, &server)
	must(t, err)
	name, err = mountName(server)
	must(t, err)
	return cmd, server, name
}

// left are the places where disks of a name are mounted.
func left(t *testing.T, name string) []string {
	t.Helper()
	all, err := mounts()
	must(t, err)
	return all[name]
}

// writer is a program that writes and syncs in a folder until that fails.
func writer(t *testing.T, at string) *childprocess.Child {
	t.Helper()
	cmd := exec.Command("sh", "-c", "while echo x >>file && sync file; do :; done")
	cmd.Dir = at
	c, err := childprocess.Start(cmd, syscall.SIGKILL)
	must(t, err)
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	await(t, 10*time.Second, "file of the writer", func() bool {
		info, err := os.Stat(filepath.Join(at, "file"))
		return err == nil && info.Size() > 0
	})
	return c
}

// ends waits until a program has ended, which one that waits for a disk for ever does not, even when it is killed.
func ends(t *testing.T, c *childprocess.Child) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("a program still waits for the disk")
	}
}

// A server that dies takes nobody with it: programs on its disks go on with errors, and the test is told.
func TestADeadServerHoldsNobody(t *testing.T) {
	m, err := NewMachine(0)
	must(t, err)
	name, err := mountName(m.cmd.Process.Pid)
	must(t, err)
	at := t.TempDir()
	_, err = m.Mount(t.TempDir(), at)
	must(t, err)
	w := writer(t, at)
	must(t, m.cmd.Process.Kill())
	ends(t, w)
	if p := m.Position(); p != 0 {
		t.Errorf("position %d of a server that is dead", p)
	}
	if err := m.Close(); err == nil || !strings.Contains(err.Error(), "server is gone") {
		t.Errorf("close: %v, want that the server is gone", err)
	}
	if places := left(t, name); len(places) > 0 {
		t.Errorf("still mounted: %v", places)
	}
}

// Nor does a test that dies leave a disk, or a program that waits for one.
func TestAKilledTestLeavesNoDisk(t *testing.T) {
	at := t.TempDir()
	cmd, _, name := parent(t, at)
	w := writer(t, at)
	must(t, cmd.Process.Kill())
	ends(t, w)
	await(t, 20*time.Second, "end of the disk", func() bool { return len(left(t, name)) == 0 })
}

// Should both die, then the next machine removes what they left, and not what others use.
func TestDisksThatWereLeftAreRemoved(t *testing.T) {
	at, used := t.TempDir(), t.TempDir()
	other, server, name := parent(t, at)
	must(t, syscall.Kill(server, syscall.SIGKILL), other.Process.Kill())
	_ = other.Wait()
	await(t, 20*time.Second, "end of the server", func() bool {
		_, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server))
		return err != nil
	})
	if len(left(t, name)) != 1 {
		t.Fatalf("the disk that is to be removed is not there: %v", left(t, name))
	}
	first := machine(t)
	d := mount(t, first, t.TempDir(), used)
	if places := left(t, name); len(places) > 0 {
		t.Errorf("still mounted: %v", places)
	}
	machine(t)
	must(t, os.WriteFile(filepath.Join(used, "a"), nil, 0o600))
	must(t, d.Unmount())
}

// Whatever hangs on a disk is freed after a while, and the test is told why.
func TestADiskIsTakenAwayAfterAWhile(t *testing.T) {
	m := machine(t)
	m.MountLimit = 3 * time.Second
	at := t.TempDir()
	d, err := m.Mount(t.TempDir(), at)
	must(t, err)
	ends(t, writer(t, at))
	if err := d.Unmount(); err == nil || !strings.Contains(err.Error(), errLong.Error()) {
		t.Errorf("unmount: %v, want %v", err, errLong)
	}
}

// Without FUSE a test fails and says what is missing.
func TestWithoutFUSE(t *testing.T) {
	if err := available("/dev/no-fuse"); !errors.Is(err, ErrNoFUSE) || !strings.Contains(err.Error(), "/dev/no-fuse") {
		t.Errorf("%v, want ErrNoFUSE and what is missing", err)
	}
}
