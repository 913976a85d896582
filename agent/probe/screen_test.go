package probe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

func lists(text string, err error) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(text), err }
}

func TestScreenList(t *testing.T) {
	line := func(session, state string) string {
		return "There is a screen on:\n\t" + session + "\t(01/02/2026 10:11:12 AM)\t(" + state + ")\n1 Socket in /run/screen/S-root.\n"
	}
	tests := []struct {
		name, list string
		err        error
		up         bool
		evidence   string
	}{
		{name: "detached", list: line("42.gensyn", "Detached"), up: true},
		{name: "attached", list: line("42.gensyn", "Attached"), up: true},
		{name: "without a date", list: "There are screens on:\r\n\t7.other\t(Detached)\r\n\t42.gensyn\t(Detached)\r\n", up: true},
		{name: "listed, though it failed", list: line("42.gensyn", "Detached"), err: errors.New("exit status 2"), up: true},
		{name: "name of several parts", list: line("42.pts-0.gensyn", "Detached"), up: true},
		{name: "dead", list: line("42.gensyn", "Dead ???"), evidence: "no screen session .gensyn"},
		{name: "longer name", list: line("42.gensyn2", "Detached"), evidence: "no screen session .gensyn"},
		{name: "other begin", list: line("42.my-gensyn", "Detached"), evidence: "no screen session .gensyn"},
		{name: "name in the directory alone", list: "No Sockets found in /run/screen/S-1.gensyn\n", evidence: "no screen session .gensyn"},
		{name: "no session", list: "No Sockets found in /run/screen/S-root.\n\n", evidence: "no screen session .gensyn"},
		{name: "nothing", evidence: "no screen session .gensyn"},
		{name: "no screen", err: &exec.Error{Name: "screen", Err: exec.ErrNotFound}, evidence: "no screen session .gensyn (screen is not installed)"},
		{name: "failed", err: errors.New("exit status 2"), evidence: "no screen session .gensyn (screen -ls failed: exit status 2)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &probe.Screen{Name: "gensyn", Sockets: t.TempDir(), ProcRoot: t.TempDir(), List: lists(tt.list, tt.err)}
			want := probe.Result{}
			if !tt.up {
				want = probe.Result{Reason: "no_screen", Evidence: tt.evidence}
			}
			if got := s.Check(t.Context()); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestScreenOfOtherUsers(t *testing.T) {
	tests := []struct {
		name, socket, comm string
		up                 bool
	}{
		{"runs", "S-alice/42.gensyn", "screen", true},
		{"runs, a version in its name", "S-alice/42.gensyn", "screen-4.9.0", true},
		{"has ended", "S-alice/42.gensyn", "", false},
		{"has ended, its id is another's", "S-alice/42.gensyn", "nginx", false},
		{"another name", "S-alice/42.other", "screen", false},
		{"no directory of sessions", "alice/42.gensyn", "screen", false},
		{"no session", "S-alice/x.gensyn", "screen", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run, root := t.TempDir(), proc(t.TempDir())
			socket := filepath.Join(run, filepath.FromSlash(tt.socket))
			if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(socket, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.comm != "" {
				root.add(t, 42, 1, tt.comm, "SCREEN")
			}
			s := &probe.Screen{
				Name: "gensyn", Sockets: filepath.Join(run, "S-*"), ProcRoot: string(root),
				List: lists("No Sockets found.\n", nil),
			}
			if r := s.Check(t.Context()); r.Passed() != tt.up {
				t.Errorf("%+v, want up: %v", r, tt.up)
			}
		})
	}
}

func TestScreenThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &probe.Screen{Name: "gensyn", List: func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		begun := time.Now()
		r := s.Check(t.Context())
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("took %v, want 5 s", took)
		}
		want := probe.Result{Reason: "no_screen", Evidence: "no screen session .gensyn (screen -ls did not end within 5s)"}
		if r != want {
			t.Errorf("%+v, want %+v", r, want)
		}
	})
}

// install puts a program called screen on the path, and nothing else but the shell that runs it.
func install(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "screen"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func TestListScreens(t *testing.T) {
	for status, fails := range map[int]bool{0: false, 1: false, 2: true} {
		t.Run(fmt.Sprintf("exit status %d", status), func(t *testing.T) {
			install(t, fmt.Sprintf(`echo "args: $*"; exit %d`, status))
			out, err := probe.ListScreens(t.Context())
			if string(out) != "args: -ls\n" || (err != nil) != fails {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	t.Run("not installed", func(t *testing.T) {
		install(t, "")
		if _, err := probe.ListScreens(t.Context()); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("hangs with a child that keeps the output open", func(t *testing.T) {
		install(t, `echo started; /bin/sleep 20 & wait`)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := probe.ListScreens(ctx)
		if took := time.Since(begun); err == nil || took > 5*time.Second {
			t.Errorf("took %v, error %v", took, err)
		}
	})
}

func TestScreenEvidenceNamesTheSession(t *testing.T) {
	s := &probe.Screen{Name: "node-2", List: lists("", nil)}
	if r := s.Check(t.Context()); !strings.Contains(r.Evidence, ".node-2") {
		t.Errorf("%+v", r)
	}
}
