package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// announceLimit bounds the announcement of one event; long enough for the bus to find out why it is not acknowledged.
const announceLimit = 1500 * time.Millisecond

// restLimit bounds the last announcements: whoever stops waits for them.
const restLimit = 500 * time.Millisecond

// say hands a committed event to announce. A lost one costs nothing: its readers look into the database, too.
func (o *owner) say(e announcement) {
	select {
	case o.announced <- e:
	default:
		o.metrics.unannounced.Inc()
	}
}

// announce publishes committed events until ctx ends, and then those at hand: the last may say why folding ended.
func (o *owner) announce(ctx context.Context) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(restLimit, cancel) })()
	for ctx.Err() == nil {
		select {
		case e := <-o.announced:
			o.publish(late, e)
		case <-ctx.Done():
		}
	}
	for late.Err() == nil {
		select {
		case e := <-o.announced:
			o.publish(late, e)
		default:
			return
		}
	}
}

func (o *owner) publish(ctx context.Context, e announcement) {
	o.storeTraces(ctx, e.traces)
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	ctx, span := o.traces.announcing(ctx, e)
	data, err := json.Marshal(wire(e.Event))
	if err == nil {
		crashpoint.Here("evaluator.announce")
		err = o.Stream.Announce(ctx, o.Partition, e.ID.String(), data)
	}
	o.traces.announced(span, err)
	switch {
	case err == nil:
		o.works(partStorage)
	case errors.Is(err, bus.ErrNotStored):
		o.broken(partStorage, err)
	}
	if err != nil {
		o.metrics.unannounced.Inc()
		o.Log.Debug().Err(err).Str("event", e.ID.String()).Msg("event not announced")
		return
	}
	crashpoint.Here("evaluator.announced")
}

func wire(e node.Event) contract.Event {
	return contract.Event{
		V: contract.Version, ID: e.ID.String(), Kind: string(e.Kind), NodeID: e.NodeID,
		From: string(e.From), To: string(e.To), Reason: e.Reason, Evidence: e.Evidence,
		AtUnixMs: int64(e.At) / int64(time.Millisecond), LastedSec: int64(e.Lasted / time.Second), Quiet: e.Quiet,
	}
}
