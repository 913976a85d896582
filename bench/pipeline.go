package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
	"github.com/gensyn-monitor/gensyn-monitor/bench/usage"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
)

// pipeline is a monitor and connections to its database and its stream.
type pipeline struct {
	*bench
	*cluster.Cluster
	db     *pgx.Conn
	stream jetstream.Stream
}

// startPipeline runs everything; stop removes it.
func (b *bench) startPipeline(ctx context.Context, env ...string) (p *pipeline, stop func() error, err error) {
	c, end, err := b.start(ctx, nil, env...)
	if err != nil {
		return nil, nil, err
	}
	p = &pipeline{bench: b, Cluster: c}
	nc, err := p.connect(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("bench: %w", err), end())
	}
	return p, func() error {
		nc.Close()
		_ = p.db.Close(context.WithoutCancel(ctx))
		return end()
	}, nil
}

func (p *pipeline) connect(ctx context.Context) (*nats.Conn, error) {
	nc, err := nats.Connect(p.NATSURL, nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err == nil {
		p.stream, err = js.Stream(ctx, contract.HeartbeatsStream(0))
	}
	if err == nil {
		p.db, err = pgx.Connect(ctx, p.DatabaseURL)
	}
	if err != nil {
		nc.Close()
	}
	return nc, err
}

// lag is the age of the last message whose effects are committed: pulses come twice a second, so it grows to half a
// second and the time between two commits when nothing else does.
func (p *pipeline) lag(ctx context.Context) (time.Duration, error) {
	var stamp int64
	if err := p.db.QueryRow(ctx, `SELECT stamp FROM partitions WHERE partition = 0`).Scan(&stamp); err != nil {
		return 0, fmt.Errorf("read the position: %w", err)
	}
	return time.Since(time.Unix(0, stamp)), nil
}

// folded waits until everything that is in the stream by now is committed.
func (p *pipeline) folded(ctx context.Context) error {
	info, err := p.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at the stream: %w", err)
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var seq uint64
		if err := p.db.QueryRow(ctx, `SELECT seq FROM partitions WHERE partition = 0`).Scan(&seq); err != nil {
			return fmt.Errorf("read the position: %w", err)
		}
		if seq >= info.State.LastSeq {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the evaluator does not catch up")
		}
	}
}

// fill makes the nodes and waits until they are stored, and the first sample of each, which would come only once in ten
// minutes, and until people were told that they joined.
func (p *pipeline) fill(ctx context.Context, nodes int) error {
	_, err := p.post(ctx, load.Options{Addr: address(p.IngestURL), Nodes: nodes, Count: nodes, Duration: time.Hour})
	if err != nil {
		return err
	}
	if err := p.folded(ctx); err != nil {
		return err
	}
	for last, same := -1, 0; same < 12; time.Sleep(500 * time.Millisecond) { // they are stored every five seconds
		var samples int
		if err := p.db.QueryRow(ctx, `SELECT count(*) FROM samples`).Scan(&samples); err != nil {
			return fmt.Errorf("count the samples: %w", err)
		}
		if samples != last {
			last, same = samples, 0
		}
		same++
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		waiting, _, err := p.waiting(ctx)
		if err != nil || waiting == 0 {
			return errors.Join(err, ctx.Err())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d alerts are not told", waiting)
		}
	}
}

// settle does what is left to do of what was written before: within the next minute Postgres would clean up, and Linux
// bring it to the disk, and both be charged to what is measured then. And every node reports once: after a checkpoint, one in
// five minutes, Postgres logs each page whole that is written first, which would be nearly every heartbeat of a short run.
func (p *pipeline) settle(ctx context.Context, nodes int) error {
	if _, err := p.db.Exec(ctx, `CHECKPOINT`); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	_, err := p.post(ctx, load.Options{Addr: address(p.IngestURL), Nodes: nodes, Count: nodes, Duration: time.Hour})
	if err != nil {
		return err
	}
	if err := p.folded(ctx); err != nil {
		return err
	}
	if _, err := p.db.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	syscall.Sync()
	return nil
}

// metered posts and says what all processes used until the last heartbeat was committed.
func (p *pipeline) metered(ctx context.Context, o load.Options) (load.Result, time.Duration, error) {
	if err := p.settle(ctx, o.Nodes); err != nil {
		return load.Result{}, 0, err
	}
	m := of(p.Cluster)
	if err := m.start(); err != nil {
		return load.Result{}, 0, err
	}
	o.Addr, o.Begin = address(p.IngestURL), time.Now()
	r, err := p.post(ctx, o)
	if err != nil {
		return r, 0, err
	}
	if err := p.folded(ctx); err != nil {
		return r, 0, err
	}
	r.Took = time.Since(o.Begin)
	each, all, err := m.read()
	for name, used := range each {
		p.say("    %s: %s µs", name, number(micros(used, r.Accepted)))
	}
	return r, all, err
}

func measurePipeline(ctx context.Context, b *bench) (err error) {
	p, stop, err := b.startPipeline(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := p.fill(ctx, fewer); err != nil {
		return err
	}
	r, used, err := p.metered(ctx, load.Options{Nodes: fewer, Duration: b.Span})
	if err != nil {
		return err
	}
	b.atLeast("saturated: heartbeats committed", "/s", r.PerSecond(), 35_000)
	b.atMost("saturated: processor time a heartbeat, all processes", "µs", micros(used, r.Accepted), 36)
	b.toBare("saturated: processor time a heartbeat", micros(used, r.Accepted))
	for _, at := range []struct {
		rate, p99, micros float64
	}{{5000, 5, 100}, {500, 0, 285}} {
		r, used, err := p.metered(ctx, load.Options{Nodes: fewer, Duration: b.Span, Rate: at.rate})
		if err != nil {
			return err
		}
		b.atMost(fmt.Sprintf("at %.0f/s: latency, 99th percentile", at.rate), "ms", millis(r.Latencies.Quantile(0.99)), at.p99)
		b.atMost(fmt.Sprintf("at %.0f/s: processor time a heartbeat, all processes", at.rate), "µs", micros(used, r.Accepted), at.micros)
		used, heartbeats, err := p.alone(ctx, load.Options{Nodes: fewer, Duration: p.Span, Rate: at.rate})
		if err != nil {
			return err
		}
		b.atMost(fmt.Sprintf("at %.0f/s: processor time of the bare handler alone", at.rate), "µs", micros(used, heartbeats), 0)
	}
	return p.upserts(ctx)
}

// upserts measures what the same Postgres can do by itself: it copies rows of the table of nodes into another of the same
// make, over those that are there, five thousand in a transaction.
func (p *pipeline) upserts(ctx context.Context) error {
	const rows, times = 5000, 40
	for _, q := range []string{
		`CREATE TABLE raw_nodes (LIKE nodes INCLUDING ALL) WITH (fillfactor = 70)`,
		`INSERT INTO raw_nodes SELECT * FROM nodes`, `VACUUM ANALYZE raw_nodes`,
	} {
		if _, err := p.db.Exec(ctx, q); err != nil {
			return fmt.Errorf("raw upserts: %w", err)
		}
	}
	var sets string
	err := p.db.QueryRow(ctx, `SELECT string_agg(format('%1$I = excluded.%1$I', column_name), ', ') FROM information_schema.columns
		WHERE table_name = 'raw_nodes' AND column_name <> 'id'`).Scan(&sets)
	if err != nil {
		return fmt.Errorf("raw upserts: %w", err)
	}
	m := newMeter()
	m.pids["postgres"] = p.Postgres.PID()
	if err := m.start(); err != nil {
		return err
	}
	began := time.Now()
	for i := range times {
		_, err := p.db.Exec(ctx, `INSERT INTO raw_nodes SELECT * FROM nodes WHERE id BETWEEN $1 AND $2 ON CONFLICT (id) DO UPDATE SET `+sets,
			load.NodeID(i*rows%fewer), load.NodeID(i*rows%fewer+rows-1))
		if err != nil {
			return fmt.Errorf("raw upserts: %w", err)
		}
	}
	took := time.Since(began)
	_, used, err := m.read()
	if err != nil {
		return err
	}
	p.atLeast("raw upserts of the same rows, 5,000 in a transaction", "/s", rows*times/took.Seconds(), 0)
	p.atMost("processor time of a raw upsert", "µs", micros(used, rows*times), 0)
	return nil
}

// scatter is a Stride for round numbers of nodes, about the golden ratio of a million: neighbours by id, which lie on one
// page of the table, report far from each other.
const scatter = 618_033

func measureMillion(ctx context.Context, b *bench) (err error) {
	// Joining takes minutes: the first are not to be lost before they report again.
	p, stop, err := b.startPipeline(ctx, "DOWN_THRESHOLD_SEC=1800")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	began := time.Now()
	if err := p.fill(ctx, b.Nodes); err != nil {
		return err
	}
	b.say("  %d nodes joined within %v", b.Nodes, time.Since(began).Round(time.Second))
	before, err := p.table(ctx)
	if err != nil {
		return err
	}
	watching, end := context.WithCancel(ctx)
	defer end()
	lags := make(chan load.Latencies, 1)
	go func() { lags <- p.watch(watching) }()
	r, used, err := p.metered(ctx, load.Options{
		Nodes: b.Nodes, Stride: scatter, Duration: b.Long, Rate: float64(b.Nodes) / 60,
	})
	end()
	seen := <-lags
	if err != nil {
		return err
	}
	after, err := p.table(ctx)
	if err != nil {
		return err
	}
	_, peak, err := usage.Memory(p.Evaluator.PID())
	if err != nil {
		return err
	}
	updates := float64(after.updates - before.updates)
	b.atMost("lag of the database behind the stream, 99th percentile", "ms", millis(seen.Quantile(0.99)), 1000)
	b.atMost("processor time a heartbeat, all processes", "µs", micros(used, r.Accepted), 75)
	b.toBare("processor time a heartbeat", micros(used, r.Accepted))
	b.atMost("latency, 99th percentile", "ms", millis(r.Latencies.Quantile(0.99)), 0)
	b.atMost("evaluator in memory, at most", "MB", float64(peak)/1e6, 400)
	b.atLeast("updates that touch no index (HOT)", "%", 100*float64(after.hot-before.hot)/max(updates, 1), 95)
	b.atMost("growth of the table of nodes", "×", float64(after.size)/float64(before.size), 0)
	return nil
}

// table is what Postgres says of the table of nodes.
type table struct{ updates, hot, size int64 }

func (p *pipeline) table(ctx context.Context) (t table, err error) {
	// Sessions report what they did at most once a second: pgstat_report_stat in the Postgres sources.
	time.Sleep(2 * time.Second)
	err = p.db.QueryRow(ctx, `SELECT n_tup_upd, n_tup_hot_upd, pg_table_size(relid) FROM pg_stat_user_tables WHERE relname = 'nodes'`).
		Scan(&t.updates, &t.hot, &t.size)
	if err != nil {
		return t, fmt.Errorf("read statistics: %w", err)
	}
	return t, nil
}

// watch looks at the lag ten times a second until ctx ends.
func (p *pipeline) watch(ctx context.Context) (all load.Latencies) {
	db, err := pgx.Connect(ctx, p.DatabaseURL)
	if err != nil {
		return nil
	}
	defer db.Close(context.WithoutCancel(ctx))
	other := &pipeline{db: db}
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return load.Sorted(all)
		case <-tick.C:
		}
		if lag, err := other.lag(ctx); err == nil {
			all = append(all, uint32(lag.Microseconds()))
		}
	}
}
