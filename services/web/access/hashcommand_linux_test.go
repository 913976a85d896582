package access

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// terminal opens a pair: what is written to keyboard is typed at tty, and what tty shows can be read from keyboard.
func terminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	var unlocked, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keyboard, tty
}

// At a terminal the password is asked for twice and never shown.
func TestATerminalDoesNotShowThePassword(t *testing.T) {
	for _, tt := range []struct{ once, again, problem string }{
		{"correct horse", "correct horse", ""},
		{"correct horse", "correct house", "not the same"},
		{"short", "short", "8 characters"},
	} {
		keyboard, tty := terminal(t)
		var out, questions bytes.Buffer
		done := make(chan error, 1)
		asked := make(chan string, 4)
		go func() { done <- HashCommand(tty, tellingWriter{&questions, asked}).Run(t.Context(), &out) }()
		for _, answer := range []string{tt.once, tt.again} {
			waitFor(t, asked, ": ")
			// The question is asked before the terminal is told to show nothing; people are slower.
			noEcho(t, tty)
			if _, err := keyboard.WriteString(answer + "\n"); err != nil {
				t.Fatal(err)
			}
			waitFor(t, asked, "\n")
		}
		err := <-done
		if tt.problem != "" {
			if err == nil || !strings.Contains(err.Error(), tt.problem) || out.Len() > 0 {
				t.Errorf("%+v: %v, %q", tt, err, &out)
			}
			continue
		}
		p, perr := ParsePassword(settings.Secret(strings.TrimSpace(out.String())))
		if err != nil || perr != nil || !p.Matches(tt.once) {
			t.Errorf("%+v: %v, %v, %q", tt, err, perr, &out)
		}
		_ = tty.Close()
		shown := make([]byte, 1000)
		_ = keyboard.SetReadDeadline(time.Now().Add(time.Second))
		if n, _ := keyboard.Read(shown); strings.Contains(string(shown[:n]), "horse") {
			t.Errorf("the terminal showed %q", shown[:n])
		}
	}
}

// noEcho waits until the terminal shows nothing.
func noEcho(t *testing.T, tty *os.File) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var state syscall.Termios
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, tty.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); errno != 0 {
			t.Fatal(errno)
		}
		if state.Lflag&syscall.ECHO == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the terminal shows what is typed")
		}
	}
}

// tellingWriter tells of what is written.
type tellingWriter struct {
	*bytes.Buffer
	told chan<- string
}

func (w tellingWriter) WriteString(s string) (int, error) {
	defer func() { w.told <- s }()
	return w.Buffer.WriteString(s)
}

func waitFor(t *testing.T, told <-chan string, end string) {
	t.Helper()
	select {
	case s := <-told:
		if !strings.HasSuffix(s, end) {
			t.Fatalf("asked %q", s)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is asked")
	}
}
