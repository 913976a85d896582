package notifier

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Caller calls the deadman address once. Its error says why it failed, without the address, which is a secret.
type Caller interface {
	Call(ctx context.Context) error
}

const (
	// looks is how many times between two calls the store is asked.
	looks = 6
	// flowLimit bounds one look into the store.
	flowLimit = 5 * time.Second
	// callGrace is how many calls must be missing before the log speaks of it.
	callGrace = 3
)

// Why the address is not called, in words that stay the same while the reason does.
const (
	becauseSilent   = "no new heartbeat comes all the way from an agent through ingest, NATS and the evaluator to the database"
	becauseNobody   = "no node has reported yet"
	becauseUntold   = "an alert has waited untold for more than " // Timing.Untold
	becauseDatabase = "the database does not answer"
)

// watch decides whether the deadman address may be called. It knows what it saw itself, and when by its own clock;
// stamps and the times of other hosts are compared for change alone.
type watch struct {
	every time.Duration // between calls
	limit time.Duration // for an alert to wait: a monitor that can tell nobody counts as dead

	known    bool
	epoch    int64
	accepted node.Stamp
	heard    time.Time // when a new heartbeat was last seen; zero when none was since the last call

	untold      string
	untoldSince time.Time // when it was first seen to be the oldest
	untoldAge   time.Duration
	broken      bool
}

// look takes what the store says. The first look only shows where things stand.
func (w *watch) look(f nodestore.Flow, err error, now time.Time) {
	if w.broken = err != nil; w.broken {
		return
	}
	if w.known && (f.Accepted != w.accepted || f.Epoch != w.epoch) && f.Accepted != 0 {
		w.heard = now
	}
	w.known, w.epoch, w.accepted = true, f.Epoch, f.Accepted
	if f.Untold != w.untold {
		w.untold, w.untoldSince = f.Untold, now
	}
	w.untoldAge = f.UntoldAge
}

// withheld is why no call may be made now, "" when one may: since the last call, and not longer ago than calls are
// apart, a new heartbeat came all the way through, and no alert waits for too long.
func (w *watch) withheld(now time.Time) string {
	switch {
	case w.broken:
		return becauseDatabase
	case w.untold != "" && max(w.untoldAge, now.Sub(w.untoldSince)) > w.limit:
		return becauseUntold + w.limit.String()
	case w.known && w.accepted == 0:
		return becauseNobody
	case w.heard.IsZero() || now.Sub(w.heard) > w.every:
		return becauseSilent
	}
	return ""
}

// called starts the wait for a heartbeat that speaks for the next call.
func (w *watch) called() { w.heard = time.Time{} }

// deadman calls an outside watchdog while the monitor lives.
type deadman struct {
	o       Options
	leading func() bool // this notifier is the one to call
	watch   watch
	log     zerolog.Logger

	due  time.Time // no call before
	good time.Time // the last call that went well, or the start
	said string    // what the log said last

	calls *prometheus.CounterVec
	heard atomic.Int64 // Unix nanoseconds at which a new heartbeat was last seen, or the start
}

func newDeadman(o Options, leading func() bool) *deadman {
	return &deadman{
		o: o, leading: leading, watch: watch{every: o.Timing.Deadman, limit: o.Timing.Untold}, log: o.Log,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_notifier_deadman_calls_total",
			Help: "Calls of DEADMAN_URL by result: accepted or failed.",
		}, []string{"result"}),
	}
}

// register adds the metrics.
func (d *deadman) register(r prometheus.Registerer) error {
	if err := r.Register(d.calls); err != nil {
		return err
	}
	return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gensyn_notifier_deadman_silent_seconds",
		Help: "Seconds since a new heartbeat was seen to come all the way through. DEADMAN_URL is called while it stays small.",
	}, func() float64 {
		if at := d.heard.Load(); at != 0 {
			return d.o.Now().Sub(time.Unix(0, at)).Seconds()
		}
		return 0
	}))
}

// run looks and calls until ctx ends. Whatever happens here, alerts are told all the same.
func (d *deadman) run(ctx context.Context) {
	d.good = d.o.Now()
	d.heard.Store(d.good.UnixNano())
	for ctx.Err() == nil {
		d.guarded(ctx)
		sleep(ctx, d.o.Timing.Deadman/looks)
	}
}

func (d *deadman) guarded(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("calling DEADMAN_URL panicked")
		}
	}()
	d.step(ctx)
}

// step looks once, and calls when a call is due and may be made.
func (d *deadman) step(ctx context.Context) {
	fctx, cancel := context.WithTimeout(ctx, flowLimit)
	f, err := d.o.Store.Flow(fctx, 0)
	cancel()
	now := d.o.Now()
	d.watch.look(f, err, now)
	if !d.watch.heard.IsZero() {
		d.heard.Store(d.watch.heard.UnixNano())
	}
	switch reason := d.watch.withheld(now); {
	case ctx.Err() != nil, now.Before(d.due):
	case !d.leading():
		d.good, d.said = now, "" // another calls, or will take over this chat in seconds
	case reason == "":
		d.call(ctx, now)
	case now.Sub(d.good) >= callGrace*d.o.Timing.Deadman:
		d.say("withheld: "+reason, d.log.Warn().Str("reason", reason), "DEADMAN_URL is not called")
	}
}

// call calls, and tries again at the next look when that fails.
func (d *deadman) call(ctx context.Context, now time.Time) {
	err := d.o.Deadman.Call(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		d.calls.WithLabelValues("failed").Inc()
		d.say("failed: "+err.Error(), d.log.Warn().Err(err), "DEADMAN_URL was called in vain: trying again")
	default:
		d.calls.WithLabelValues("accepted").Inc()
		d.due, d.good = now.Add(d.o.Timing.Deadman), now
		d.watch.called()
		d.say("calling", d.log.Info(), fmt.Sprintf("DEADMAN_URL is called every %v while heartbeats come through", d.o.Timing.Deadman))
	}
}

// say logs a state once.
func (d *deadman) say(state string, e *zerolog.Event, msg string) {
	if d.said == state {
		return
	}
	d.said = state
	e.Msg(msg)
}
