package program_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

type config struct {
	program.Logging
	Token settings.Secret `envconfig:"TEST_TOKEN" desc:"a token"`
	Count int             `envconfig:"TEST_COUNT" default:"7" allowed:"a whole number" desc:"how many"`
}

// run gives the exit status and what was written.
func run(t *testing.T, serve func(context.Context, config) error, args ...string) (code int, out, errors string) {
	t.Helper()
	var cfg config
	var stdout, stderr bytes.Buffer
	code = program.Program{
		Name: "thing", Summary: "does things.", Config: &cfg,
		Serve: func(ctx context.Context, _ zerolog.Logger) error { return serve(ctx, cfg) },
	}.Run(t.Context(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestServeGetsTheSettings(t *testing.T) {
	t.Setenv("TEST_COUNT", "3")
	got := 0
	if code, _, _ := run(t, func(_ context.Context, c config) error { got = c.Count; return nil }); code != program.Succeeded || got != 3 {
		t.Errorf("status %d, count %d", code, got)
	}
}

func TestExitStatus(t *testing.T) {
	fail := func(context.Context, config) error { return errors.New("no disk") }
	if code, _, text := run(t, fail); code != program.Failed || !strings.Contains(text, "no disk") {
		t.Errorf("a failure: %d %q", code, text)
	}
	never := func(context.Context, config) error { t.Error("it served"); return nil }
	for _, args := range [][]string{{"--nonsense"}, {"word"}} {
		if code, _, text := run(t, never, args...); code != program.Misused || strings.Count(text, "\n") != 1 {
			t.Errorf("%v: %d %q, want one line", args, code, text)
		}
	}
	t.Setenv("TEST_COUNT", "many")
	if code, _, text := run(t, never); code != program.Misused || text != "thing: TEST_COUNT=many is not allowed: it must be a whole number\n" {
		t.Errorf("a bad value: %d %q", code, text)
	}
	t.Setenv("TEST_COUNT", "1")
	t.Setenv("LOG_LEVEL", "loud")
	if code, _, text := run(t, never); code != program.Misused || !strings.Contains(text, "LOG_LEVEL=loud") {
		t.Errorf("a bad log level: %d %q", code, text)
	}
}

func TestACommandRunsInsteadOfServing(t *testing.T) {
	var cfg config
	var checked struct {
		Count int `envconfig:"TEST_COUNT" default:"7" allowed:"a whole number"`
	}
	fail := error(nil)
	p := program.Program{
		Name: "thing", Summary: "does things.", Config: &cfg,
		Serve: func(context.Context, zerolog.Logger) error { t.Error("it served"); return nil },
		Commands: []program.Command{{Name: "check", Summary: "looks at things", Config: &checked,
			Run: func(_ context.Context, out io.Writer) error {
				_, err := fmt.Fprintln(out, "count", checked.Count)
				return errors.Join(err, fail)
			}}},
	}
	call := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := p.Run(t.Context(), args, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, text := call("check"); code != program.Succeeded || out != "count 7\n" || text != "" {
		t.Errorf("%d %q %q", code, out, text)
	}
	fail = errors.New("1 of 1 failed")
	if code, _, text := call("check"); code != program.Failed || text != "thing: 1 of 1 failed\n" {
		t.Errorf("a failure: %d %q", code, text)
	}
	if code, _, _ := call("check", "more"); code != program.Misused {
		t.Errorf("more words: %d", code)
	}
	if _, out, _ := call("--help"); !strings.Contains(out, "thing check  looks at things") {
		t.Errorf("not in the help:\n%s", out)
	}
	t.Setenv("TEST_COUNT", "many")
	if code, _, text := call("check"); code != program.Misused || !strings.Contains(text, "TEST_COUNT=many") {
		t.Errorf("a bad value: %d %q", code, text)
	}
}

// Images have no shell: the program itself tells whether the one that runs beside it is ready.
func TestHealthcheckAsksTheRunningProgram(t *testing.T) {
	status, said := http.StatusOK, "ok\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, said)
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:9") // must not be asked
	var cfg config
	addr := ":" + port
	p := program.Program{
		Name: "thing", Summary: "does things.", Config: &cfg,
		Serve:  func(context.Context, zerolog.Logger) error { t.Error("it served"); return nil },
		Health: func() string { return addr },
	}
	call := func(args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		code := p.Run(t.Context(), args, &stdout, &stderr)
		return code, stdout.String() + stderr.String()
	}
	for _, addr = range []string{":" + port, "0.0.0.0:" + port, "[::]:" + port, "127.0.0.1:" + port} {
		if code, text := call("healthcheck"); code != program.Succeeded || text != "" {
			t.Errorf("%s: %d %q", addr, code, text)
		}
	}
	status, said = http.StatusServiceUnavailable, "NATS: away\ndatabase: away\n"
	if code, text := call("healthcheck"); code != program.Failed || text != "thing: not ready: NATS: away; database: away\n" {
		t.Errorf("not ready: %d %q", code, text)
	}
	if _, text := call("--help"); !strings.Contains(text, "thing healthcheck") {
		t.Errorf("not in the help:\n%s", text)
	}
	server.Close()
	if code, text := call("healthcheck"); code != program.Failed || strings.Count(text, "\n") != 1 {
		t.Errorf("nobody there: %d %q", code, text)
	}
	p.Health = nil
	if code, _ := call("healthcheck"); code != program.Misused {
		t.Errorf("a program without: %d", code)
	}
}

func TestACommandTakesOperands(t *testing.T) {
	var got []string
	p := program.Program{
		Name: "thing", Config: &config{},
		Commands: []program.Command{{Name: "read", Operands: "[--twice] FILE", Summary: "reads a file", Config: &struct{}{},
			Parse: func(args []string) error {
				if got = args; len(args) != 1 {
					return errors.New("name one file")
				}
				return nil
			},
			Run: func(context.Context, io.Writer) error { return nil }}},
	}
	var stdout, stderr bytes.Buffer
	if code := p.Run(t.Context(), []string{"read", "a.db"}, &stdout, &stderr); code != program.Succeeded || len(got) != 1 || got[0] != "a.db" {
		t.Errorf("%d %q %s", code, got, &stderr)
	}
	if code := p.Run(t.Context(), []string{"read"}, &stdout, &stderr); code != program.Misused || stderr.String() != "thing: read: name one file\n" {
		t.Errorf("%d %s", code, &stderr)
	}
	if p.Run(t.Context(), []string{"--help"}, &stdout, &stderr); !strings.Contains(stdout.String(), "thing read [--twice] FILE  reads a file") {
		t.Errorf("not in the help:\n%s", &stdout)
	}
}

func TestHelpNamesEveryVariableOnce(t *testing.T) {
	t.Setenv("TEST_TOKEN", "hush")
	code, out, _ := run(t, nil, "--help")
	for _, want := range []string{"thing: does things.", "TEST_COUNT", "how many", "LOG_LEVEL", "TEST_TOKEN"} {
		if strings.Count(out, want) != 1 {
			t.Errorf("%q stands %d times in\n%s", want, strings.Count(out, want), out)
		}
	}
	if code != program.Succeeded || strings.Contains(out, "hush") {
		t.Errorf("status %d\n%s", code, out)
	}
}

func passing(err error) bool { return err.Error() != "wrong password" }

func TestAwaitGivesUpWhenWaitingCannotHelp(t *testing.T) {
	_, err := program.Await(t.Context(), zerolog.Nop(), "it", passing, func(context.Context) (int, error) {
		return 0, errors.New("wrong password")
	})
	if err == nil || err.Error() != "wrong password" {
		t.Errorf("%v", err)
	}
}

func TestAwaitTriesAgainAndEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	v, err := program.Await(ctx, zerolog.Nop(), "it", passing, func(context.Context) (int, error) {
		if tries++; tries < 2 {
			return 0, errors.New("not yet")
		}
		return 42, nil
	})
	if v != 42 || err != nil || tries != 2 {
		t.Errorf("%d, %v after %d tries", v, err, tries)
	}
	_, err = program.Await(ctx, zerolog.Nop(), "it", passing, func(context.Context) (int, error) {
		cancel()
		return 0, errors.New("never")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// A program takes half of the cores, at least one, unless somebody said how many.
func TestHalfTheCores(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	program.HalfTheCores("4")
	if got := runtime.GOMAXPROCS(0); got != 4 {
		t.Errorf("%d, and GOMAXPROCS=4 was set", got)
	}
	for _, want := range []int{2, 1, 1} {
		program.HalfTheCores("")
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}
