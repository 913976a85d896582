package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

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
		waiting, last, err := p.waiting(ctx)
		if err != nil {
			return err
		}
		if waiting == 0 && last.Unix() > 0 && time.Since(last) > 61*time.Second {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d alerts are not told", waiting)
		}
	}
}

// waiting is how many alerts are not told yet, events that are yet to become some included, and when one was told last.
func (p *pipeline) waiting(ctx context.Context) (alerts int, last time.Time, err error) {
	var at int64
	err = p.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification
		WHERE n.told_at IS NULL) + (SELECT count(*) FROM events e JOIN cursors c ON c.partition = e.partition
			AND (e.epoch, e.seq, e.ordinal) > (c.epoch, c.seq, c.ordinal)), coalesce((SELECT max(told_at) FROM notifications), 0)`).Scan(&alerts, &at)
	if err != nil {
		return 0, last, fmt.Errorf("read deliveries: %w", err)
	}
	return alerts, time.Unix(0, at), nil
}

// measureTold measures from a reported DOWN to Telegram's request, and then lets nearly all nodes be lost at one moment: after
// a time in which nobody could be heard, all have the same threshold from the same moment on.
func measureTold(ctx context.Context, b *bench) (err error) {
	const rounds, alive, threshold = 15, 1000, 20 // seconds: longer than joining takes
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

// mass lets all nodes but the first be lost at once. People are told of their joining just before: the outage must not
// stand behind that.
func (p *pipeline) mass(ctx context.Context, t *telegramtest.Server, nodes, alive int, threshold time.Duration) error {
	all := load.Options{Addr: address(p.IngestURL), Nodes: nodes, Count: nodes, Duration: time.Hour, Interval: 4}
	if _, err := p.post(ctx, all); err != nil {
		return err
	}
	if err := p.folded(ctx); err != nil {
		return err
	}
	var early int
	if err := p.db.QueryRow(ctx, `SELECT count(*) FROM nodes WHERE state = 'lost'`).Scan(&early); err != nil || early > 0 {
		return errors.Join(err, fmt.Errorf("%d nodes are lost before their time: the machine is too busy to measure it", early))
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

// routedRacks are how many of the racks of a load have a chat of their own, and racks how many there are.
const routedRacks, racks = 5, 97

// routed sends the nodes of some racks to a chat each, and all to one chat.
func routed() string {
	routes := make([]string, 0, routedRacks+1)
	for rack := range routedRacks {
		routes = append(routes, fmt.Sprintf("rack=%d -> %d", rack, 1000+rack))
	}
	return strings.Join(append(routes, "dc=bench -> "+everything), "; ")
}

// everything is the chat that hears of all nodes.
const everything = "999"

// measureSilence lets one in a hundred of a hundred thousand nodes fall silent within a minute, and measures how long after
// their threshold Telegram has accepted a message that tells it: in chats of one rack each, which hear of ten a minute, and
// in a chat that hears of all thousand, where the pace of messages decides.
func measureSilence(ctx context.Context, b *bench) (err error) {
	const threshold, interval, dying = 75 * time.Second, time.Minute, 100
	nodes := min(b.Nodes, fewer)
	p, _, stop, err := b.telling(ctx, fmt.Sprintf("DOWN_THRESHOLD_SEC=%d", int(threshold.Seconds())), "ROUTES="+routed())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// Agents that say that they report twice a minute: so does the effective threshold stay the configured one.
	o := load.Options{Addr: address(p.IngestURL), Nodes: nodes, Interval: int(interval.Seconds() / 2), Count: nodes, Duration: time.Hour}
	if _, err := p.post(ctx, o); err != nil { // all join
		return err
	}
	o.Count, o.Rate, o.Begin = 0, float64(nodes)/interval.Seconds(), time.Now()
	silent := o.Begin.Add(interval) // those that die report once more before, spread over a minute
	o.Alive = func(node int) bool { return node%dying != 0 || time.Now().Before(silent) }
	m := of(p.Cluster)
	end := begin(ctx, o)
	defer func() { _, _ = end() }()
	if err := sleepUntil(ctx, o.Begin.Add(threshold)); err != nil {
		return err
	}
	if err := m.start(); err != nil {
		return err
	}
	if err := sleepUntil(ctx, silent.Add(threshold)); err != nil {
		return err
	}
	each, used, err := m.read()
	if err != nil {
		return err
	}
	for name, used := range each {
		b.say("    %s: %s %% of a core", name, number(100*used.Seconds()/interval.Seconds()))
	}
	if err := sleepUntil(ctx, time.Now().Add(20*time.Second)); err != nil { // a chat that was told much hears each 15 s
		return err
	}
	if _, err := end(); err != nil {
		return err
	}
	b.atMost("processor time of all processes meanwhile, of a core", "%", 100*used.Seconds()/interval.Seconds(), 0)
	return p.silences(ctx, threshold, nodes, dying)
}

// silences notes how long after their threshold people were told of the nodes that fell silent, one in so many.
func (p *pipeline) silences(ctx context.Context, threshold time.Duration, nodes, dying int) error {
	what := fmt.Sprintf("%d of %d nodes fall silent within a minute: ", nodes/dying, nodes)
	committed, err := p.beyond(ctx, threshold, nodes/dying, `SELECT e.found - n.heard FROM events e JOIN nodes n ON n.id = e.node_id
		WHERE e.kind = 'changed' AND e.to_state = 'lost'`)
	if err != nil {
		return err
	}
	const told = `SELECT t.told_at - n.heard FROM events e JOIN nodes n ON n.id = e.node_id JOIN deliveries d ON d.event_id = e.id
		JOIN notifications t ON t.id = d.notification WHERE e.kind = 'changed' AND e.to_state = 'lost' AND t.told_at > 0 AND `
	inRacks := 0
	for node := 0; node < nodes; node += dying {
		if node%racks < routedRacks {
			inRacks++
		}
	}
	single, err := p.beyond(ctx, threshold, inRacks, told+`d.chat <> '`+everything+`'`)
	if err != nil {
		return err
	}
	all, err := p.beyond(ctx, threshold, nodes/dying, told+`d.chat = '`+everything+`'`)
	if err != nil {
		return err
	}
	p.atMost(what+"beyond the threshold until committed, 99th percentile", "ms", millis(committed.Quantile(0.99)), 1000)
	p.atMost(fmt.Sprintf("the same: until told, in %d chats of about ten a minute each, median", routedRacks), "ms", millis(single.Quantile(0.5)), 0)
	p.atMost("the same, 99th percentile", "ms", millis(single.Quantile(0.99)), 1000)
	p.atMost("the same: until told, in one chat of all, the first", "ms", millis(all.Quantile(0)), 1000)
	p.atMost("the same, 99th percentile: a chat that is told much gets a message each 15 s", "s", all.Quantile(0.99).Seconds(), 0)
	return nil
}

// beyond reads times since nodes were heard, one for each that fell silent, as times beyond the threshold.
func (p *pipeline) beyond(ctx context.Context, threshold time.Duration, want int, query string) (load.Latencies, error) {
	rows, err := p.db.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read what was told: %w", err)
	}
	since, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read what was told: %w", err)
	}
	if len(since) != want {
		return nil, fmt.Errorf("of %d nodes that fell silent %d are told", want, len(since))
	}
	out := make(load.Latencies, len(since))
	for i, d := range since {
		out[i] = uint32(max(time.Duration(d)-threshold, 0).Microseconds())
	}
	return load.Sorted(out), nil
}

// sleepUntil waits for a moment.
func sleepUntil(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
