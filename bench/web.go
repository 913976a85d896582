package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
)

// measureWeb measures the page and its API with ten thousand nodes.
func measureWeb(ctx context.Context, b *bench) (err error) {
	const nodes = 10_000
	p, stop, err := b.startPipeline(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := p.fill(ctx, nodes); err != nil {
		return err
	}
	web := newMeter()
	web.pids["web"] = p.Web.PID()
	measured := func(n int, each func(i int) error) (float64, error) {
		if err := web.start(); err != nil {
			return 0, err
		}
		for i := range n {
			if err := each(i); err != nil {
				return 0, err
			}
		}
		_, used, err := web.read()
		return micros(used, n) / 1e3, err
	}
	var last answer
	get := func(path, etag string) (err error) {
		last, err = fetch(ctx, p.WebURL+path, etag)
		return err
	}
	// Each is preceded by a heartbeat, and by its commit, which comes within half a second.
	fresh, err := measured(30, func(i int) error {
		_, err := p.post(ctx, load.Options{Addr: address(p.IngestURL), Nodes: nodes, First: i, Count: i + 1, Connections: 1, Duration: time.Minute})
		if err = errors.Join(err, p.folded(ctx)); err != nil {
			return err
		}
		return get("/api/nodes", "")
	})
	if err != nil {
		return err
	}
	b.atMost("/api/nodes of 10,000 nodes, built afresh: processor time", "ms", fresh, 4)
	b.atMost("the same: on the wire", "MB", float64(last.bytes)/1e6, 0.2)
	etag := last.etag
	known, err := measured(200, func(int) error { return get("/api/nodes", etag) })
	if err != nil {
		return err
	}
	b.atMost("the same, asked again: processor time", "ms", known, 0.6)
	var screens load.Latencies
	if _, err = measured(50, func(int) error {
		err := get("/", "")
		screens = append(screens, uint32(last.took.Microseconds()))
		return err
	}); err != nil {
		return err
	}
	b.atMost("the page's first screen: until the last byte, median", "ms", millis(load.Sorted(screens).Quantile(0.5)), 20)
	return p.live(ctx, web, nodes)
}

// live opens a thousand pages, and lets a hundred nodes a second change their state.
func (p *pipeline) live(ctx context.Context, web *meter, nodes int) error {
	const pages, changes = 1000, 100
	var heard atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	for range pages {
		conn, err := net.Dial("tcp", address(p.WebURL))
		if err != nil {
			return fmt.Errorf("open a page: %w", err)
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if _, err := fmt.Fprintf(conn, "GET /api/events?brief HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", address(p.WebURL)); err != nil {
			return fmt.Errorf("open a page: %w", err)
		}
		wg.Go(func() {
			for in := bufio.NewReader(conn); ; {
				line, err := in.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) > 5 && string(line[:5]) == "data:" {
					heard.Add(1)
				}
			}
		})
	}
	o := load.Options{Addr: address(p.IngestURL), Nodes: nodes, Rate: changes, Duration: p.Span, Begin: time.Now(), Connections: 8,
		Down: func(n int) bool { return n/nodes%2 == 0 }}
	before := heard.Load()
	if err := web.start(); err != nil {
		return err
	}
	began := time.Now()
	r, err := p.post(ctx, o)
	if err != nil {
		return err
	}
	_, used, err := web.read()
	if err != nil {
		return err
	}
	if n := heard.Load() - before; n < pages {
		return fmt.Errorf("%d pages heard of changes %d times", pages, n)
	}
	per := used.Seconds() / time.Since(began).Seconds() / (float64(r.Accepted) / time.Since(began).Seconds() / changes)
	p.atMost("1,000 open pages: of a core, for 100 changes a second", "%", 100*per, 1)
	return nil
}

// answer is what a request came to.
type answer struct {
	etag  string
	bytes int64 // of the body as it came
	took  time.Duration
}

// fetch asks as a browser does, which takes gzip.
func fetch(ctx context.Context, url, etag string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return a, err
	}
	req.Header.Set("Accept-Encoding", "gzip") // set by us, the answer stays as it is
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, fmt.Errorf("ask the page: %w", err)
	}
	defer resp.Body.Close()
	a.bytes, err = io.Copy(io.Discard, resp.Body)
	a.etag, a.took = resp.Header.Get("ETag"), time.Since(began)
	switch {
	case err != nil:
		return a, fmt.Errorf("ask the page: %w", err)
	case resp.StatusCode != http.StatusOK && (etag == "" || resp.StatusCode != http.StatusNotModified):
		return a, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return a, nil
}
