package evaluator

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// say hands a committed event to announce. A lost one costs nothing: its readers look into the database, too.
func (o *owner) say(e node.Event) {
	select {
	case o.announced <- e:
	default:
		o.metrics.unannounced.Inc()
	}
}

// announce publishes committed events until ctx ends.
func (o *owner) announce(ctx context.Context) {
	for {
		select {
		case e := <-o.announced:
			o.publish(ctx, e)
		case <-ctx.Done():
			return
		}
	}
}

func (o *owner) publish(ctx context.Context, e node.Event) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	data, err := json.Marshal(wire(e))
	if err == nil {
		crashpoint.Here("evaluator.announce")
		err = o.Stream.Announce(ctx, o.Partition, e.ID.String(), data)
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
