package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	chat = "100"
	// apart keeps alerts below 20 a minute, beyond which the notifier slows down on purpose.
	apart = 3200 * time.Millisecond
)

// telling is a monitor with a Telegram that accepts everything.
func (b *bench) telling(ctx context.Context, env ...string) (p *pipeline, t *telegramtest.Server, stop func() error, err error) {
	t = telegramtest.New()
	p, end, err := b.startPipeline(ctx, append([]string{
		"TELEGRAM_API_URL=" + t.URL(), "TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_CHAT_ID=" + chat,
	}, env...)...)
	if err != nil {
		t.Close()
		return nil, nil, nil, err
	}
	return p, t, func() error { err := end(); t.Close(); return err }, nil
}

// named waits for the first message since then that names a node.
func named(ctx context.Context, t *telegramtest.Server, node int, since time.Time) (telegramtest.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	is := func(m telegramtest.Message) bool {
		return m.At.After(since) && strings.Contains(m.Plain, load.NodeID(node))
	}
	all, err := t.WaitFor(ctx, func(all []telegramtest.Message) bool { return slices.ContainsFunc(all, is) })
	if err != nil {
		return telegramtest.Message{}, fmt.Errorf("nobody is told of %s: %w", load.NodeID(node), err)
	}
	return all[slices.IndexFunc(all, is)], nil
}

// quiet waits until the notifier has told that the nodes joined, and the pause after many alerts is over.
func (p *pipeline) quiet(ctx context.Context) error {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		var waiting int
		var last int64
		err := p.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification
			WHERE n.told_at IS NULL), coalesce((SELECT max(told_at) FROM notifications), 0)`).Scan(&waiting, &last)
		if err != nil {
			return fmt.Errorf("read deliveries: %w", err)
		}
		if waiting == 0 && last > 0 && time.Since(time.Unix(0, last)) > 61*time.Second {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d alerts are not told", waiting)
		}
	}
}

// measureTold measures from a reported DOWN to Telegram's request, and then lets nearly all nodes be lost at one moment: after
// a time in which nobody could be heard, all have the same threshold from the same moment on.
func measureTold(ctx context.Context, b *bench) (err error) {
	const rounds, alive, threshold = 15, 1000, 10
	nodes := min(b.Nodes, fewer)
	p, t, stop, err := b.telling(ctx, fmt.Sprintf("DOWN_THRESHOLD_SEC=%d", threshold))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	in := address(p.IngestURL)
	// Agents that report every four seconds: so does the effective threshold stay the configured one.
	end := begin(ctx, load.Options{Addr: in, Nodes: alive, Rate: alive / 4, Interval: 4})
	defer func() { _, _ = end() }()
	if err := p.quiet(ctx); err != nil {
		return err
	}
	var took load.Latencies
	for i := range rounds {
		time.Sleep(apart)
		node, began := alive+i, time.Now()
		_, err := b.post(ctx, load.Options{Addr: in, Nodes: node + 1, First: node, Count: node + 1, Connections: 1, Interval: 4,
			Duration: time.Minute, Down: func(int) bool { return true }})
		if err != nil {
			return err
		}
		m, err := named(ctx, t, node, began)
		if err != nil {
			return err
		}
		took = append(took, uint32(m.At.Sub(began).Microseconds()))
	}
	b.atMost("a reported DOWN to Telegram's request, the slowest of 15", "ms", millis(load.Sorted(took).Quantile(1)), 300)
	if _, err := end(); err != nil {
		return err
	}
	return p.mass(ctx, t, nodes, alive, threshold*time.Second)
}

// begin lets a load go on until it is stopped, which may be done again. What is refused is for the caller to judge.
func begin(ctx context.Context, o load.Options) (stop func() (load.Result, error)) {
	o.Secret, o.Connections, o.Duration = secret, connections, time.Hour
	ctx, cancel := context.WithCancel(ctx)
	var r load.Result
	var err error
	done := make(chan struct{})
	go func() { r, err = load.Run(ctx, o); close(done) }()
	return func() (load.Result, error) { cancel(); <-done; return r, err }
}

// mass lets all nodes but the first be lost at once.
func (p *pipeline) mass(ctx context.Context, t *telegramtest.Server, nodes, alive int, threshold time.Duration) error {
	all := load.Options{Addr: address(p.IngestURL), Nodes: nodes, Count: nodes, Duration: time.Hour, Interval: 4}
	if _, err := p.post(ctx, all); err != nil {
		return err
	}
	if err := p.folded(ctx); err != nil {
		return err
	}
	p.NATS.Kill()
	time.Sleep(threshold/2 + 2*time.Second) // longer than a gap that still counts as observed
	if err := p.NATS.Start(ctx); err != nil {
		return err
	}
	if err := p.Ingest.Await(ctx, strings.Replace(p.Ingest.Ready, "/healthz", "/readyz", 1)); err != nil {
		return err
	}
	end := begin(ctx, load.Options{Addr: all.Addr, Nodes: alive, Rate: float64(alive) / 4, Interval: 4})
	defer func() { _, _ = end() }()
	first, last, err := p.lost(ctx, nodes-alive)
	if err != nil {
		return err
	}
	told := func(m telegramtest.Message) bool { return m.At.After(first) && strings.Contains(m.Plain, "LOST") }
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	messages, err := t.WaitFor(limited, func(all []telegramtest.Message) bool { return slices.ContainsFunc(all, told) })
	if err != nil {
		return fmt.Errorf("nobody is told that nodes are lost: %w", err)
	}
	at := messages[slices.IndexFunc(messages, told)].At
	r, err := end()
	if err != nil {
		return err
	}
	refused := 0
	for _, n := range r.Refused {
		refused += n
	}
	p.atMost(fmt.Sprintf("%d nodes lost at once: from their moment until all are committed", nodes-alive), "s", last.Sub(first).Seconds(), 3)
	p.atMost("the same: until the first message", "s", at.Sub(first).Seconds(), 3)
	p.atMost("the same: latency of other heartbeats, at most", "ms", millis(r.Latencies.Quantile(1)), 0)
	p.atMost("the same: heartbeats refused meanwhile", "", float64(refused), 0.5)
	return nil
}

// lost waits until so many nodes are lost, and returns the stamp of the message that revealed it, and when the last of them
// was committed.
func (p *pipeline) lost(ctx context.Context, many int) (revealed, committed time.Time, err error) {
	var counted int64
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var n int
		var since, seq int64
		// Counting takes the processor from what is measured: once after each commit.
		err := p.db.QueryRow(ctx, `SELECT seq FROM partitions WHERE partition = 0`).Scan(&seq)
		seen := time.Now()
		if err == nil && seq != counted {
			counted = seq
			err = p.db.QueryRow(ctx, `SELECT count(*), coalesce(min(since), 0) FROM nodes WHERE state = 'lost'`).Scan(&n, &since)
		}
		if err != nil {
			return revealed, committed, fmt.Errorf("read nodes: %w", err)
		}
		if n > 0 && n >= many {
			return time.Unix(0, since), seen, nil
		}
		if time.Now().After(deadline) {
			return revealed, committed, fmt.Errorf("%d nodes are lost, want %d", n, many)
		}
	}
}

// measureSilence lets single nodes of a hundred thousand fall silent, and measures how long after their threshold
// Telegram is asked to tell it.
func measureSilence(ctx context.Context, b *bench) (err error) {
	const dying, threshold, interval = 15, 150 * time.Second, time.Minute // 2.5 intervals
	nodes := min(b.Nodes, fewer)
	p, t, stop, err := b.telling(ctx, "DOWN_THRESHOLD_SEC=20")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	rate := float64(nodes) / interval.Seconds()
	from := time.Now()
	// Every one reports twice, so that all have joined and been told of; then those that die report no more.
	until := from.Add(2*interval - time.Second)
	dies := func(node int) bool { return node%(nodes/dying) == 0 && node < nodes/dying*dying }
	end := begin(ctx, load.Options{Addr: address(p.IngestURL), Nodes: nodes, Rate: rate, Begin: from,
		Alive: func(node int) bool { return !dies(node) || time.Now().Before(until) }})
	defer func() { _, _ = end() }()
	var took load.Latencies
	for node := 0; node < nodes/dying*dying; node += nodes / dying {
		heard := from.Add(interval + time.Duration(float64(node)/rate*float64(time.Second)))
		m, err := named(ctx, t, node, heard.Add(threshold-time.Second))
		if err != nil {
			return err
		}
		took = append(took, uint32(max(m.At.Sub(heard)-threshold, 0).Microseconds()))
	}
	if _, err := end(); err != nil {
		return err
	}
	load.Sorted(took)
	b.atMost("beyond the threshold until Telegram is asked, median of 15", "ms", millis(took.Quantile(0.5)), 0)
	b.atMost("the same, the slowest", "ms", millis(took.Quantile(1)), 1000)
	return nil
}
