package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// introduceEvery is how often a process says that it runs.
const introduceEvery = 10 * time.Second

// Introduction returns what says which process this is, now and every few seconds, until its context ends. answered, nil
// for a process that takes no heartbeats, is asked each time. Nobody is asked to have heard it, and while there is no
// connection nothing is said.
func (b *Bus) Introduction(service, id, version string, answered func() contract.Answered) func(ctx context.Context) error {
	p := contract.Process{V: contract.Version, Service: service, ID: id, Version: version, Started: time.Now().Unix()}
	return func(ctx context.Context) error { return b.introduce(ctx, p, answered) }
}

func (b *Bus) introduce(ctx context.Context, p contract.Process, answered func() contract.Answered) error {
	tick := time.NewTicker(introduceEvery)
	defer tick.Stop()
	for {
		if answered != nil {
			p.Answered = answered()
		}
		data, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("introduce the process: %w", err)
		}
		said := b.nc.Publish(contract.ProcessSubject(p.Service), data)
		wait := tick.C
		if said != nil { // before the first connection
			wait = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wait:
		}
	}
}

// OnProcess calls f with what processes say of themselves from now on, one at a time. Some may be missed: it is for people
// to see.
func (b *Bus) OnProcess(f func(data []byte)) (stop func(), err error) {
	return b.hear("processes", "process.*", eventsAhead, bytesAhead, f)
}

// hear subscribes to what no stream has to keep. At most so many messages and bytes wait for a slow f.
func (b *Bus) hear(what, subject string, ahead, bytes int, f func(data []byte)) (stop func(), err error) {
	sub, err := b.nc.Subscribe(subject, func(m *nats.Msg) { f(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", what, err)
	}
	if err := sub.SetPendingLimits(ahead, bytes); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", what, errors.Join(err, sub.Unsubscribe()))
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
