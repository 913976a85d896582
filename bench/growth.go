package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
	"github.com/gensyn-monitor/gensyn-monitor/bench/usage"
)

// measureGrowth takes the same figures with ten thousand, a hundred thousand and a million nodes: what stays level costs
// the same however many there are.
func measureGrowth(ctx context.Context, b *bench) error {
	for nodes := b.Nodes / 100; nodes <= b.Nodes; nodes *= 10 {
		if err := b.grow(ctx, nodes); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) grow(ctx context.Context, nodes int) (err error) {
	rate := float64(min(5000, nodes/2)) // a node may not report more often than once a second
	// Joining takes minutes: the first are not to be lost before they report again.
	p, stop, err := b.startPipeline(ctx, "DOWN_THRESHOLD_SEC=1800")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := p.fill(ctx, nodes); err != nil {
		return err
	}
	r, used, err := p.metered(ctx, load.Options{Nodes: nodes, Duration: b.Span, Rate: rate})
	if err != nil {
		return err
	}
	name := func(what string) string { return fmt.Sprintf("%s nodes: %s", number(float64(nodes)), what) }
	b.atMost(name("processor time a heartbeat at "+number(rate)+"/s, all processes"), "µs", micros(used, r.Accepted), 0)
	var screens load.Latencies
	for range 30 {
		a, err := fetch(ctx, p.WebURL+"/", "")
		if err != nil {
			return err
		}
		screens = append(screens, uint32(a.took.Microseconds()))
	}
	b.atMost(name("the page's first screen, median"), "ms", millis(load.Sorted(screens).Quantile(0.5)), 0)
	t, err := p.table(ctx)
	if err != nil {
		return err
	}
	b.atMost(name("table of nodes, a node"), "B", float64(t.size)/float64(nodes), 0)
	if err := p.Evaluator.Stop(); err != nil {
		return err
	}
	// What changes a state is committed at once.
	_, err = p.post(ctx, load.Options{Addr: address(p.IngestURL), Nodes: nodes, Count: 1, Connections: 1, Duration: time.Minute,
		Down: func(int) bool { return true }})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := p.Evaluator.Start(ctx); err != nil {
		return err
	}
	if err := p.folded(ctx); err != nil {
		return err
	}
	b.atMost(name("an evaluator starts, loads them and commits the first change"), "s", time.Since(began).Seconds(), 0)
	resident, _, err := usage.Memory(p.Evaluator.PID())
	if err != nil {
		return err
	}
	b.atMost(name("evaluator in memory"), "MB", float64(resident)/1e6, 0)
	return nil
}
