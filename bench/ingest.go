package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
)

const (
	connections = 256
	fewer       = 100_000 // nodes, where it does not matter how many there are
	// warm is how long a load goes on before it counts: programs grow their heaps, connections are made.
	warm = 2 * time.Second
)

// saturate posts as fast as answers come.
func (b *bench) saturate(ctx context.Context, addr string, nodes int, span time.Duration) (load.Result, error) {
	return b.post(ctx, load.Options{Addr: addr, Nodes: nodes, Duration: span})
}

// post lets a load warm up, if it is endless, and then measures it. Whatever is refused is an error.
func (b *bench) post(ctx context.Context, o load.Options) (load.Result, error) {
	o.Secret = secret
	if o.Connections == 0 {
		o.Connections = connections
	}
	r, err := load.Run(ctx, o)
	switch {
	case err != nil:
		return r, err
	case len(r.Refused) > 0:
		return r, fmt.Errorf("heartbeats were refused, by status: %v", r.Refused)
	case r.Accepted == 0:
		return r, errors.New("no heartbeat was accepted")
	}
	return r, ctx.Err()
}

func measureIngest(ctx context.Context, b *bench) (err error) {
	c, stop, err := b.start(ctx, []string{"ingest"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	measure := func(addr string, m *meter) (r load.Result, each map[string]time.Duration, err error) {
		if _, err := b.saturate(ctx, addr, fewer, warm); err != nil {
			return r, nil, err
		}
		if err := m.start(); err != nil {
			return r, nil, err
		}
		if r, err = b.saturate(ctx, addr, fewer, b.Span); err != nil {
			return r, nil, err
		}
		each, _, err = m.read()
		return r, each, err
	}
	r, each, err := measure(address(c.IngestURL), of(c))
	if err != nil {
		return err
	}
	own, both := micros(each["ingest"], r.Accepted), micros(each["ingest"]+each["nats-server"], r.Accepted)
	b.atLeast("heartbeats acknowledged, fsync before, 256 connections", "/s", r.PerSecond(), 35_000)
	b.atMost("processor time a heartbeat, ingest and nats-server", "µs", both, 30)
	b.atMost("of it ingest", "µs", own, 0)
	b.atMost("latency, 99th percentile", "ms", millis(r.Latencies.Quantile(0.99)), 15)

	less := func(kind string) (load.Result, map[string]time.Duration, error) {
		p, addr, err := self(b.Dir, kind, c.NATSURL)
		if err != nil {
			return load.Result{}, nil, err
		}
		if err := p.Start(ctx); err != nil {
			return load.Result{}, nil, err
		}
		defer p.Kill()
		m := newMeter()
		m.pids[kind], m.pids["nats-server"] = p.PID(), c.NATS.PID()
		return measure(addr, m)
	}
	plain, plainEach, err := less(bare)
	if err != nil {
		return err
	}
	bareTime := micros(plainEach[bare], plain.Accepted)
	b.atLeast("a bare chi handler that decodes and answers", "/s", plain.PerSecond(), 0)
	b.atMost("processor time of the bare handler", "µs", bareTime, 0)
	b.atMost("ingest and nats-server, to the bare handler", "×", both/bareTime, 1.5)
	single, singleEach, err := less(publishes)
	if err != nil {
		return err
	}
	b.atLeast("a handler that publishes each heartbeat by itself", "/s", single.PerSecond(), 0)
	b.atMost("processor time of it and nats-server", "µs",
		micros(singleEach[publishes]+singleEach["nats-server"], single.Accepted), 0)
	return nil
}
