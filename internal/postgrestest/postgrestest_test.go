package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// parentVar makes this test binary a program that starts a server in the given folder, tells its address and waits.
const parentVar = "POSTGRESTEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVar); dir != "" {
		os.Exit(parent(dir))
	}
	code := Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

func parent(dir string) int {
	s, err := StartServer(dir, Options{})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	os.Stdout.WriteString(s.URL("postgres") + "\n")
	select {}
}

// folder is one that the server's user can reach, which t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postgrestest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func query(t *testing.T, url, q string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	err = c.QueryRow(ctx, q).Scan(&out)
	return out, err
}

// fill makes a table with one row.
func fill(t *testing.T, url string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), "CREATE TABLE t AS SELECT 'kept'::text v"); err != nil {
		t.Fatal(err)
	}
}

func mustQuery(t *testing.T, url, q, want string) {
	t.Helper()
	if got, err := query(t, url, q); err != nil || got != want {
		t.Fatalf("%s: got %q, error %v, want %q", q, got, err, want)
	}
}

func TestDatabasesAreApart(t *testing.T) {
	s := Shared(t)
	a, b := s.NewDatabase(t), s.NewDatabase(t)
	fill(t, a)
	mustQuery(t, a, "SELECT v FROM t", "kept")
	if v, err := query(t, b, "SELECT v FROM t"); err == nil {
		t.Errorf("database b has the table of a: %q", v)
	}
	if Shared(t) != s {
		t.Error("a second server was started")
	}
}

func TestAStrangerIsRefused(t *testing.T) {
	u, err := url.Parse(Shared(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(userName, "guess")
	if _, err := query(t, u.String(), "SELECT 'in'"); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("a wrong password got %v, want it refused", err)
	}
}

func TestStopKillRestart(t *testing.T) {
	s := Start(t)
	db := s.NewDatabase(t)
	fill(t, db)
	for _, step := range []struct {
		name string
		do   func() error
	}{{"stop", s.Stop}, {"kill", s.Kill}} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if _, err := query(t, db, "SELECT v FROM t"); err == nil {
			t.Fatalf("it answers after %s", step.name)
		}
		if err := step.do(); err != nil {
			t.Fatalf("%s again: %v", step.name, err)
		}
		if err := s.Restart(); err != nil {
			t.Fatalf("restart after %s: %v", step.name, err)
		}
		mustQuery(t, db, "SELECT v FROM t", "kept")
	}
}

func TestAFolderIsUsedAgain(t *testing.T) {
	dir := folder(t)
	for _, first := range []bool{true, false} {
		s, err := StartServer(dir, Options{Fsync: true})
		if err != nil {
			t.Fatal(err)
		}
		if first {
			fill(t, s.URL("postgres"))
		}
		mustQuery(t, s.URL("postgres"), "SELECT v FROM t", "kept")
		mustQuery(t, s.URL("postgres"), "SHOW fsync", "on")
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// The server must not outlive a test binary that is killed, which has no chance to stop it.
func TestItEndsWithTheProcessThatStartedIt(t *testing.T) {
	dir := folder(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVar+"="+dir)
	cmd.Stderr = os.Stderr
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
		t.Fatalf("the server did not start: %v", err)
	}
	u, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server outlived the process that started it")
		}
		time.Sleep(20 * time.Millisecond)
	}
	// The postmaster removes this file last; the folder can be removed then.
	pidFile := filepath.Join(dir, "data", "postmaster.pid")
	for _, err := os.Stat(pidFile); !errors.Is(err, os.ErrNotExist); _, err = os.Stat(pidFile) {
		if time.Now().After(deadline) {
			t.Fatal("the server has not ended")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	if dir, err := findIn(t.TempDir(), filepath.Join(t.TempDir(), "*", "bin")); !errors.Is(err, ErrNotInstalled) ||
		!strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("got %q, %v, want ErrNotInstalled with the way out", dir, err)
	}
}

func TestProgramsAreFound(t *testing.T) {
	root := t.TempDir()
	for _, v := range []string{"9", "15", "16"} {
		install(t, filepath.Join(root, v, "bin"), "initdb")
	}
	install(t, filepath.Join(root, "9", "bin"), "postgres")
	install(t, filepath.Join(root, "15", "bin"), "postgres")
	debian := filepath.Join(root, "*", "bin")
	if dir, err := findIn("", debian); err != nil || dir != filepath.Join(root, "15", "bin") {
		t.Errorf("found %q, %v, want the newest that is complete", dir, err)
	}
	// A link in the path leads to the folder with the rest.
	path := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "9", "bin", "initdb"), filepath.Join(path, "initdb")); err != nil {
		t.Fatal(err)
	}
	if dir, err := findIn(filepath.Join(path, "initdb"), debian); err != nil || dir != filepath.Join(root, "9", "bin") {
		t.Errorf("found %q, %v, want the one in the path", dir, err)
	}
}

func install(t *testing.T, dir, program string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, program), nil, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestTheClockOfAServerSteps(t *testing.T) {
	s := StartWithClock(t)
	c, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, offset := range []time.Duration{0, -time.Hour, time.Hour, 0} {
		if err := s.SetClock(offset); err != nil {
			t.Fatal(err)
		}
		var got time.Time
		if err := c.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if wrong := time.Until(got) - offset; wrong.Abs() > 10*time.Second {
			t.Errorf("with offset %v it is %v", offset, got)
		}
	}
}

// A replica has what its primary committed, takes no writes, and takes them once it is promoted.
func TestReplica(t *testing.T) {
	t.Parallel()
	primary := Start(t)
	fill(t, primary.URL("postgres"))
	replica, err := primary.StartReplica(folder(t), primary.Addr(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = replica.Stop() })
	if err := primary.admin("UPDATE t SET v = 'streamed'"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		v, err := query(t, replica.URL("postgres"), "SELECT v FROM t")
		if err == nil && v == "streamed" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replica has %q, %v", v, err)
		}
	}
	if err := replica.admin("UPDATE t SET v = 'no'"); err == nil {
		t.Error("a replica took a write")
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := replica.Promote(); err != nil {
		t.Fatal(err)
	}
	if err := replica.admin("UPDATE t SET v = 'promoted'"); err != nil {
		t.Errorf("a promoted replica takes no writes: %v", err)
	}
}
