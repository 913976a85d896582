package evaluator_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// memoryStream is a stream whose stamps the test chooses. It can be made anew, as a real one can.
type memoryStream struct {
	mu        sync.Mutex
	created   time.Time
	messages  []bus.Message
	changed   chan struct{} // closed and replaced at every change
	published [][]byte
	exists    bool
	asked     int // how many messages were asked for by their number
	readers   int // how many were begun
}

func newMemoryStream() *memoryStream {
	return &memoryStream{created: time.Unix(1000, 0).UTC(), changed: make(chan struct{}), exists: true}
}

// change runs f and wakes all readers.
func (s *memoryStream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// add appends a message as ingest, or web, would have published it.
func (s *memoryStream) add(m node.Message) {
	s.change(func() { s.messages = append(s.messages, encode(m)) })
}

// recreate makes another stream of the same name.
func (s *memoryStream) recreate() {
	s.change(func() { s.created, s.messages = s.created.Add(time.Hour), nil })
}

// restore forgets all messages after seq, as an older backup does.
func (s *memoryStream) restore(seq uint64) {
	s.change(func() {
		s.messages = slices.DeleteFunc(s.messages, func(m bus.Message) bool { return m.Seq > seq })
	})
}

// discard drops the messages up to seq, as the stream's limits do.
func (s *memoryStream) discard(seq uint64) {
	s.change(func() {
		s.messages = slices.DeleteFunc(s.messages, func(m bus.Message) bool { return m.Seq <= seq })
	})
}

func encode(m node.Message) bus.Message {
	out := bus.Message{Seq: m.Seq, Stamp: m.Stamp.Time()}
	var v any
	if m.Command != nil {
		out.Command = true
		v = encodeCommand(*m.Command)
	} else {
		b := contract.Batch{V: contract.Version, Ingest: "test", Refused: m.Refused, Unsure: m.Unsure}
		for _, h := range m.Heartbeats {
			b.Heartbeats = append(b.Heartbeats, contract.Heartbeat{
				NodeID: h.NodeID, IP: h.IP, Meta: h.Meta, Status: h.Status, Reason: h.Reason,
				IntervalSec: h.Interval.Seconds(), BootID: h.BootID, Seq: h.Seq,
				Metrics: json.RawMessage(h.Metrics), Workload: json.RawMessage(h.Workload),
			})
		}
		v = b
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	out.Data = data
	return out
}

func encodeCommand(c node.Command) contract.Command {
	out := contract.Command{V: contract.Version, NodeID: c.NodeID, By: c.By}
	switch {
	case c.Delete:
		out.Kind = contract.CommandDelete
	case c.Name != nil:
		out.Kind, out.Name = contract.CommandName, *c.Name
	case c.Threshold != nil:
		out.Kind, out.ThresholdSec = contract.CommandThreshold, c.Threshold.Seconds()
	case c.Import != nil:
		out.Kind = contract.CommandImport
		for _, n := range c.Import {
			out.Nodes = append(out.Nodes, contract.Imported{
				NodeID: n.NodeID, IP: n.IP, Meta: n.Meta, State: string(n.State), HeardUnixMs: n.Heard.Time().UnixMilli(),
			})
		}
	case c.Settings != nil:
		out.Kind = contract.CommandSettings
		out.ThresholdSec, out.MaxNodes = c.Settings.Threshold.Seconds(), c.Settings.MaxNodes
	}
	return out
}

// EnsureStreams implements evaluator.Stream.
func (s *memoryStream) EnsureStreams(context.Context, int, bus.StreamLimits) error {
	s.change(func() {
		if !s.exists {
			s.exists, s.created, s.messages = true, s.created.Add(time.Hour), nil
		}
	})
	return nil
}

// Info implements evaluator.Stream.
func (s *memoryStream) Info(context.Context, int) (bus.StreamInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.exists {
		return bus.StreamInfo{}, bus.ErrNoStream
	}
	info := bus.StreamInfo{Created: s.created, First: 1}
	if n := len(s.messages); n > 0 {
		info.First, info.Last = s.messages[0].Seq, s.messages[n-1].Seq
	}
	return info, nil
}

// StampAt implements evaluator.Stream.
func (s *memoryStream) StampAt(_ context.Context, _ int, seq uint64) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	for _, m := range s.messages {
		if m.Seq == seq {
			return m.Stamp, nil
		}
	}
	return time.Time{}, bus.ErrNoMessage
}

// Publish implements evaluator.Stream. What is published is kept apart: the test decides about the stream.
func (s *memoryStream) Publish(_ context.Context, _ string, data []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = append(s.published, data)
	return 0, nil
}

// Announce implements evaluator.Stream.
func (s *memoryStream) Announce(context.Context, int, string, []byte) error { return nil }

// Consume implements evaluator.Stream.
func (s *memoryStream) Consume(ctx context.Context, _ int, start bus.Start) (evaluator.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers++
	r := &memoryReader{stream: s, created: s.created, start: start, out: make(chan bus.Message), stop: make(chan struct{})}
	go r.run(ctx)
	return r, nil
}

type memoryReader struct {
	stream  *memoryStream
	created time.Time
	start   bus.Start
	out     chan bus.Message
	stop    chan struct{}
	err     error
}

func (r *memoryReader) Messages() <-chan bus.Message { return r.out }
func (r *memoryReader) Err() error                   { return r.err }
func (r *memoryReader) Stop() {
	close(r.stop)
	for range r.out { // until run ends
	}
}

var errRecreated = errors.New("the consumer is gone")

func (r *memoryReader) run(context.Context) {
	defer close(r.out)
	for {
		r.stream.mu.Lock()
		same, changed, messages := r.stream.created.Equal(r.created), r.stream.changed, slices.Clone(r.stream.messages)
		r.stream.mu.Unlock()
		if !same {
			r.err = errRecreated
			return
		}
		for _, m := range messages {
			if m.Seq < r.start.Seq || m.Stamp.Before(r.start.Time) {
				continue
			}
			select {
			case r.out <- m:
				r.start = bus.Start{Seq: m.Seq + 1}
			case <-r.stop:
				return
			}
		}
		select {
		case <-changed:
		case <-r.stop:
			return
		}
	}
}

// Ready implements evaluator.Stream.
func (s *memoryStream) Ready(context.Context) error { return nil }
