package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
)

// listTimeout is how long `screen -ls` may take.
const listTimeout = 5 * time.Second

// Screen passes when there is a session of GNU screen whose name ends in .Name, of this user or, as far as their
// socket directories can be read (root can), of any other.
type Screen struct {
	Name     string
	Sockets  string // the socket directories, a pattern such as /run/screen/S-*
	ProcRoot string // the proc file system
	// List returns what `screen -ls` prints. The error is exec.ErrNotFound when there is no screen.
	List func(ctx context.Context) ([]byte, error)
}

// Check implements Probe.
func (s *Screen) Check(ctx context.Context) Result {
	if s.hasSocket() {
		return Result{}
	}
	hidden := s.hidden()
	if hidden && proc.Open(s.ProcRoot, nil).Session(ctx, "screen", "-S", s.Name) {
		return Result{Saw: "a screen of another user was started with it"}
	}
	r := s.ask(ctx)
	if r.Reason == ReasonNoScreen && hidden {
		r.Blind = true
		r.Evidence += "; those of other users may not be seen"
	}
	return r
}

// ask has screen itself list its sessions.
func (s *Screen) ask(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := s.List(ctx)
	switch {
	case listed(list, s.Name):
		return Result{}
	case errors.Is(err, exec.ErrNotFound) && runtime.GOOS == "windows":
		return unsupported("screen sessions")
	case errors.Is(err, exec.ErrNotFound):
		return s.missing("screen is not installed")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return s.missing(fmt.Sprintf("screen -ls did not end within %v", listTimeout))
	case err != nil:
		return s.missing(fmt.Sprintf("screen -ls failed: %v", err))
	}
	return s.missing("")
}

func (s *Screen) missing(why string) Result {
	evidence := "no screen session ." + s.Name
	if why != "" {
		evidence += " (" + why + ")"
	}
	return Result{Reason: ReasonNoScreen, Evidence: evidence}
}

// hasSocket looks for the socket of a session, PID.NAME, whose screen still runs: sockets outlive their screen.
func (s *Screen) hasSocket() bool {
	sockets, err := filepath.Glob(filepath.Join(s.Sockets, "*"))
	if err != nil {
		return false
	}
	for _, socket := range sockets {
		session := filepath.Base(socket)
		pid, _, _ := strings.Cut(session, ".")
		if isSession(session, s.Name) && s.isScreen(pid) {
			return true
		}
	}
	return false
}

// hidden reports whether there are directories of sessions that this user may not look into.
func (s *Screen) hidden() bool {
	dirs, err := filepath.Glob(s.Sockets)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(dirs, func(dir string) bool {
		f, err := os.Open(dir)
		if err == nil {
			f.Close()
		}
		return errors.Is(err, fs.ErrPermission)
	})
}

func (s *Screen) isScreen(pid string) bool {
	comm, err := os.ReadFile(filepath.Join(s.ProcRoot, pid, "comm"))
	return err == nil && bytes.HasPrefix(bytes.ToLower(comm), []byte("screen"))
}

// listed looks for a session in the output of `screen -ls`: lines such as "\t4242.gensyn\t(Detached)".
func listed(list []byte, name string) bool {
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) > 0 && isSession(fields[0], name) && !strings.Contains(line, "(Dead") {
			return true
		}
	}
	return false
}

// isSession reports whether a session, PID.NAME, has the name. The first agents looked for ".name" at its end, so the
// default name PID.TTY.HOST also counts when the host is called so.
func isSession(session, name string) bool {
	pid, _, ok := strings.Cut(session, ".")
	return ok && pid != "" && strings.Trim(pid, "0123456789") == "" && strings.HasSuffix(session, "."+name)
}

// ListScreens runs `screen -ls`.
func ListScreens(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "screen", "-ls")
	cmd.WaitDelay = time.Second / 4
	out, err := cmd.Output()
	// It ends with 1 when there is no session, and some versions also when there is one.
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil
	}
	return out, err
}
