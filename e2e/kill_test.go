package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
)

// standalone is the program as a user starts it.
type standalone struct {
	t    *testing.T
	dir  string
	addr string
	env  []string
	kill func()
	end  func() (status int, took time.Duration)
	out  func() string
}

func (p *standalone) start() {
	p.t.Helper()
	cmd := command(p.t, p.dir, append(p.env, "LISTEN_ADDR="+p.addr)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	child, err := childprocess.Start(cmd, syscall.SIGKILL)
	if err != nil {
		p.t.Fatal(err)
	}
	exited := child.Done()
	p.kill = func() { _ = cmd.Process.Kill(); <-exited }
	p.out = func() string { <-exited; return out.String() }
	p.end = func() (int, time.Duration) {
		began := time.Now()
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-exited
		return cmd.ProcessState.ExitCode(), time.Since(began)
	}
	p.t.Cleanup(p.kill)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + p.addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			p.kill()
			p.t.Fatalf("standalone is not ready:\n%s", p.out())
		}
	}
}

func newStandalone(t *testing.T, env ...string) *standalone {
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	p := &standalone{t: t, dir: t.TempDir(), addr: addr, env: env}
	p.start()
	return p
}

// load is nodes that report without a pause, each changing its state at every heartbeat. It remembers what was answered.
type load struct {
	mu    sync.Mutex
	acked map[string][]string // per node: the statuses answered 200, in order
	maybe map[string]string   // per node: the status of the one heartbeat that got no answer, "" for none
}

func (l *load) run(ctx context.Context, s *system, t *testing.T, nodes int) {
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { l.one(ctx, s, t, fmt.Sprintf("load-%02d", i)) })
	}
	wg.Wait()
}

func (l *load) one(ctx context.Context, s *system, t *testing.T, id string) {
	for n := 0; ctx.Err() == nil; n++ {
		status := []string{"UP", "DOWN"}[n%2]
		body := fmt.Appendf(nil, `{"node_id":"%s","status":"%s","meta":"%d"}`, id, status, n)
		code, _ := s.post(t, secret, body)
		for code == http.StatusTooManyRequests && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			code, _ = s.post(t, secret, body)
		}
		l.mu.Lock()
		if code == http.StatusOK {
			l.acked[id] = append(l.acked[id], status)
		} else {
			l.maybe[id] = status
		}
		l.mu.Unlock()
		if code != http.StatusOK {
			return
		}
	}
}

// What is acknowledged survives kill -9 under load: no transition is missing or doubled, and nobody is told lost
// because the monitor was away.
func TestStandaloneKilled(t *testing.T) {
	const nodes, threshold = 30, 6 * time.Second // in which all must have reported again, on a busy machine too
	telegram := fakeTelegram(t)
	p := newStandalone(t, append(environment(telegram.URL()), fmt.Sprintf("DOWN_THRESHOLD_SEC=%v", threshold.Seconds()))...)
	s := &system{ingest: "http://" + p.addr, web: "http://" + p.addr, telegram: telegram}
	l := &load{acked: map[string][]string{}, maybe: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.run(ctx, s, t, nodes); close(done) }()
	time.Sleep(2 * time.Second)
	p.kill()
	<-done
	cancel()
	time.Sleep(threshold + time.Second)
	p.start()
	// All report once more, in the state that they were in, within the threshold.
	for id, statuses := range l.acked {
		last := statuses[len(statuses)-1]
		if maybe := l.maybe[id]; maybe != "" {
			last = maybe
		}
		s.report(t, id, last, "again")
	}
	for id := range l.acked {
		s.awaitRow(t, id, func(r row) bool { return r.Meta != nil && *r.Meta == "again" })
	}
	if status, took := p.end(); status != 0 || took > 5*time.Second {
		t.Errorf("SIGINT: exit status %d after %v\n%s", status, took, p.out())
	}
	total := 0
	for _, statuses := range l.acked {
		total += len(statuses)
	}
	t.Logf("%d heartbeats of %d nodes were acknowledged before the kill", total, nodes)
	if len(l.acked) != nodes || total < 5*nodes {
		t.Fatalf("the load was too light: %d heartbeats of %d nodes", total, len(l.acked))
	}
	l.compare(t, p.dir)
}

// compare reads the transitions from the database file.
func (l *load) compare(t *testing.T, dir string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "data", "monitor.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for id, statuses := range l.acked {
		events, err := store.Events(t.Context(), id, 10000)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(statuses)
		if l.maybe[id] != "" {
			want = append(want, l.maybe[id]) // sent again after the restart, so it counts now at the latest
		}
		var got []string
		for _, e := range slices.Backward(events) {
			if e.To == node.Lost {
				t.Errorf("%s was lost: %+v", id, e)
			}
			got = append(got, strings.ToUpper(string(e.To)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: transitions %v\nwant %v", id, got, want)
		}
	}
}

// Without any configuration a secret is made and kept, and the words on the screen suffice to go on.
func TestStandaloneWithoutConfiguration(t *testing.T) {
	p := newStandalone(t)
	made := readSecret(t, p.dir)
	body := `{"node_id":"first","status":"UP"}`
	s := &system{ingest: "http://" + p.addr, web: "http://" + p.addr}
	post := func() (int, string) { return s.post(t, made, []byte(body)) }
	if code, answer := post(); code != http.StatusOK {
		t.Fatalf("heartbeat with the made secret: %d %s", code, answer)
	}
	s.awaitRow(t, "first", func(r row) bool { return r.Computed == "UP" })
	second := command(t, p.dir, "LISTEN_ADDR=127.0.0.1:0")
	if out, err := second.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("in use by another")) {
		t.Errorf("a second process on the same directory: %v\n%s", err, out)
	}
	if status, took := p.end(); status != 0 || took > 5*time.Second {
		t.Errorf("SIGINT: exit status %d after %v", status, took)
	}
	out := p.out()
	for _, want := range []string{"http://localhost:", "SHARED_SECRET=" + made, "gensyn-agent run", "NO TELEGRAM"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	p.start()
	if again := readSecret(t, p.dir); again != made {
		t.Errorf("the secret changed from %s to %s", made, again)
	}
	s.awaitRow(t, "first", func(row) bool { return true })
}

func readSecret(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "data", "shared_secret"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// .env is read as it stands: nothing is expanded, and what cannot be read is not shown.
func TestStandaloneReadsDotEnv(t *testing.T) {
	p := &standalone{t: t, dir: t.TempDir()}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(p.dir, ".env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("SHARED_SECRET=hush-hush\nthis line is wrong\n")
	out, err := command(t, p.dir).CombinedOutput()
	if err == nil || bytes.Contains(out, []byte("hush")) || !bytes.Contains(out, []byte("line 2")) {
		t.Errorf("a wrong line: %v\n%s", err, out)
	}
	write("\ufeffSHARED_SECRET='hunter$2hunter2'\r\nSITE_TITLE=The $HOME\r\nDOWN_THRESHOLD_SEC=\r\n")
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	p.addr = addr
	p.start()
	s := &system{ingest: "http://" + addr, web: "http://" + addr}
	if code, answer := s.post(t, "hunter$2hunter2", []byte(`{"node_id":"a"}`)); code != http.StatusOK {
		t.Errorf("heartbeat with the secret of .env: %d %s", code, answer)
	}
	resp, err := http.Get(s.web + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, _ := io.ReadAll(resp.Body); !bytes.Contains(page, []byte("The $HOME")) {
		t.Error("the title of .env is not on the page")
	}
	p.kill()
	if strings.Contains(p.out(), "hunter") {
		t.Errorf("the secret is shown:\n%s", p.out())
	}
}
