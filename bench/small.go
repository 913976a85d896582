package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
	"github.com/gensyn-monitor/gensyn-monitor/bench/usage"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

const (
	standalone = "github.com/gensyn-monitor/gensyn-monitor/standalone"
	agent      = "github.com/gensyn-monitor/gensyn-monitor/agent/cmd/gensyn-agent"
)

// standalone is the program in a folder of its own.
func (b *bench) standalone(ctx context.Context, dir string) (p *cluster.Process, addr string, err error) {
	if addr, err = freeport.Address(); err != nil {
		return nil, "", err
	}
	p = &cluster.Process{
		Name: "standalone", Path: filepath.Join(b.Bin, "standalone"), Ready: "http://" + addr + "/readyz",
		Env: []string{
			"LISTEN_ADDR=" + addr, "SHARED_SECRET=" + secret, "DATA_DIR=" + filepath.Join(dir, "data"), "TZ=UTC",
			"LOG_LEVEL=warn", "LOG_FORMAT=json",
		},
		Log: filepath.Join(dir, "standalone.log"),
	}
	if err := p.Start(ctx); err != nil {
		p.Kill()
		return nil, "", err
	}
	return p, addr, nil
}

// measureStandalone lets ten thousand nodes report once a minute, and starts it again with a hundred thousand.
func measureStandalone(ctx context.Context, b *bench) (err error) {
	const few = 10_000
	dir, err := os.MkdirTemp(b.Dir, "alone-")
	if err != nil {
		return fmt.Errorf("folder for data: %w", err)
	}
	defer os.RemoveAll(dir)
	p, addr, err := b.standalone(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if _, err := b.post(ctx, load.Options{Addr: addr, Nodes: few, Count: few, Duration: time.Hour}); err != nil {
		return err
	}
	select {
	case <-time.After(20 * time.Second): // until the first sample of each is stored, which comes once in ten minutes
	case <-ctx.Done():
		return ctx.Err()
	}
	m := newMeter()
	m.pids["standalone"] = p.PID()
	if err := m.start(); err != nil {
		return err
	}
	began := time.Now()
	span := max(b.Span, 30*time.Second)
	r, err := b.post(ctx, load.Options{Addr: addr, Nodes: few, Rate: few / 60.0, Duration: span})
	if err != nil {
		return err
	}
	_, used, err := m.read()
	if err != nil {
		return err
	}
	took := time.Since(began)
	resident, peak, err := usage.Memory(p.PID())
	if err != nil {
		return err
	}
	b.atMost("10,000 nodes, a heartbeat a minute each: processor time, of a core", "%", 100*used.Seconds()/took.Seconds(), 3)
	b.atMost("the same: in memory", "MB", float64(resident)/1e6, 100)
	b.atMost("the same: in memory, at most, with the joining of all", "MB", float64(peak)/1e6, 0)
	b.atMost("the same: latency, 99th percentile", "ms", millis(r.Latencies.Quantile(0.99)), 0)
	if used, _, err = b.alone(ctx, load.Options{Nodes: few, Rate: few / 60.0, Duration: span}); err != nil {
		return err
	}
	b.atMost("the same heartbeats to a bare chi handler that decodes and answers, alone", "%", 100*used.Seconds()/span.Seconds(), 0)
	if _, err := b.post(ctx, load.Options{Addr: addr, Nodes: fewer, Count: fewer, Duration: time.Hour}); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // the last of them are committed within half a second
	if err := p.Stop(); err != nil {
		return err
	}
	began = time.Now()
	p.Ready = "http://" + addr + "/api/nodes?limit=1"
	if err := p.Start(ctx); err != nil {
		return err
	}
	b.atMost("start to the first answer of /api/nodes, 100,000 nodes in the database", "s", time.Since(began).Seconds(), 1)
	return nil
}

// measureAgent lets the agent report every second to a server that speaks TLS, the dearest thing it does, on a machine with
// a thousand processes.
func measureAgent(ctx context.Context, b *bench) error {
	dir, err := os.MkdirTemp(b.Dir, "agent-")
	if err != nil {
		return fmt.Errorf("folder for data: %w", err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "gensyn-agent")
	size, err := buildAgent(ctx, program)
	if err != nil {
		return err
	}
	crowd := exec.CommandContext(ctx, "sh", "-c", "i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done; wait")
	endCrowd, err := together(crowd)
	if err != nil {
		return err
	}
	defer endCrowd()
	heard := make(chan struct{}, 1000)
	server := monitorOf(heard)
	defer server.Close()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pemOf(server.Certificate()), 0o600); err != nil {
		return fmt.Errorf("the agent: %w", err)
	}
	p := &cluster.Process{
		Name: "gensyn-agent", Path: program, Args: []string{"run"}, Log: filepath.Join(dir, "agent.log"),
		Env: []string{"SERVER_URL=" + server.URL, "SHARED_SECRET=" + secret, "CA_FILE=" + ca, "INTERVAL_SEC=1", "IP_CMD=echo 192.0.2.1",
			"STATE_DIR=" + dir, "NODE_ID=bench"},
	}
	defer p.Kill()
	if err := p.Start(ctx); err != nil {
		return err
	}
	if err := b.beats(ctx, p, heard); err != nil {
		return err
	}
	b.atMost("program, linux/"+runtime.GOARCH, "MB", float64(size)/1e6, 7)
	return nil
}

// beats measures a running agent over some heartbeats.
func (b *bench) beats(ctx context.Context, p *cluster.Process, heard <-chan struct{}) error {
	next := func(n int) error {
		for range n {
			select {
			case <-heard:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(30 * time.Second):
				return errors.New("the agent sends nothing")
			}
		}
		return nil
	}
	if err := next(3); err != nil {
		return err
	}
	m := newMeter()
	m.pids["agent"] = p.PID()
	if err := m.start(); err != nil {
		return err
	}
	const beats = 20
	if err := next(beats); err != nil {
		return err
	}
	time.Sleep(400 * time.Millisecond) // a heartbeat's memory is given back before the next
	_, used, err := m.read()
	if err != nil {
		return err
	}
	resident, peak, err := usage.Memory(p.PID())
	if err != nil {
		return err
	}
	b.atMost("resident between two heartbeats", "MB", float64(resident)/1e6, 10)
	b.atMost("resident at most, the first heartbeat included", "MB", float64(peak)/1e6, 0)
	b.atMost("processor time, of a core, at a heartbeat a minute", "%", 100*used.Seconds()/beats/60, 0.1)
	return nil
}

// buildAgent makes the program as it is released, and returns its size in bytes.
func buildAgent(ctx context.Context, program string) (int64, error) {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-gcflags=all=-l", "-ldflags", "-s -w", "-o", program, agent)
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the agent: %w\n%s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		return 0, fmt.Errorf("the agent: %w", err)
	}
	return info.Size(), nil
}

// monitorOf accepts every heartbeat and says so.
func monitorOf(heard chan<- struct{}) *httptest.Server {
	return httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`))
		heard <- struct{}{}
	}))
}
