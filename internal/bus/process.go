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
	return b.hear("processes", "process.*", f)
}

// The most that waits for a slow f of hear. What is beyond is dropped.
const (
	messagesAhead = 256
	bytesAhead    = 1 << 20
)

// hear subscribes to what nobody needs all of.
func (b *Bus) hear(what, subject string, f func(data []byte)) (stop func(), err error) {
	sub, err := b.nc.Subscribe(subject, func(m *nats.Msg) { f(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", what, err)
	}
	if err := sub.SetPendingLimits(messagesAhead, bytesAhead); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", what, errors.Join(err, sub.Unsubscribe()))
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// flushLimit bounds waiting for the server to know of a subscription.
const flushLimit = time.Second

// OnNews calls f when an event was announced. For as long as rest says then it hears nothing, and calls f again at the end of
// that: events are announced one by one, and whoever looks into the database for them after each rest needs to be woken by
// the first alone. It may miss some: who is woken looks into the database for what there is.
func (b *Bus) OnNews(f func(), rest func() time.Duration) (stop func(), err error) {
	heard := make(chan struct{}, 1)
	listen := func() (func(), error) {
		return b.hear("events", "event.*", func([]byte) {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	}
	deafen, err := listen()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { deafen() }()
		for {
			select {
			case <-ctx.Done():
				return
			case <-heard:
			}
			f()
			deafen()
			select {
			case <-ctx.Done():
				return
			case <-time.After(rest()):
			}
			again, err := listen()
			if err != nil {
				return // the connection is closed
			}
			deafen = again
			_ = b.nc.FlushTimeout(flushLimit) // what is announced before the server knows is found without
			f()
		}
	}()
	return func() { cancel(); <-ended }, nil
}
