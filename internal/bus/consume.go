package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

var (
	// ErrNoStream means that the stream does not exist: it was deleted, or the server started empty.
	ErrNoStream = errors.New("the stream does not exist")
	// ErrNoMessage means that the stream has no message with this sequence.
	ErrNoMessage = errors.New("the stream has no such message")
)

// Message is one message of the heartbeats stream.
type Message struct {
	Seq     uint64
	Stamp   time.Time // when the server stored it, by the server's clock
	Command bool      // else it is a batch
	Data    []byte
}

// StreamInfo tells one stream from another of the same name.
type StreamInfo struct {
	Created time.Time
	First   uint64 // sequence of the oldest message
	Last    uint64 // and of the newest; Last < First when it is empty
}

// Info describes the partition's heartbeats stream. ErrNoStream when there is none.
func (b *Bus) Info(ctx context.Context, partition int) (StreamInfo, error) {
	s, err := b.js.Stream(ctx, contract.HeartbeatsStream(partition))
	if err != nil {
		return StreamInfo{}, lookup("stream info", err)
	}
	info := s.CachedInfo()
	return StreamInfo{Created: info.Created.UTC(), First: info.State.FirstSeq, Last: info.State.LastSeq}, nil
}

// StampAt returns the stamp of one message. ErrNoMessage when it is not there (any more, or yet).
func (b *Bus) StampAt(ctx context.Context, partition int, seq uint64) (time.Time, error) {
	s, err := b.js.Stream(ctx, contract.HeartbeatsStream(partition))
	if err != nil {
		return time.Time{}, lookup("stream info", err)
	}
	m, err := s.GetMsg(ctx, seq)
	if err != nil {
		return time.Time{}, lookup(fmt.Sprintf("message %d", seq), err)
	}
	return m.Time.UTC(), nil
}

func lookup(what string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		err = ErrNoStream
	case errors.Is(err, jetstream.ErrMsgNotFound):
		err = ErrNoMessage
	default:
		err = unavailable(err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Start says where to begin: at a sequence, or at the first message not older than a time when it is not zero.
type Start struct {
	Seq  uint64
	Time time.Time
}

// Reader delivers the messages of a stream in order.
type Reader struct {
	messages chan Message
	iter     jetstream.MessagesContext
	err      error // valid once messages is closed
}

// readAhead is how many messages wait in memory at most; each may be up to 256 KiB.
const readAhead = 256

// Consume delivers messages from start on until the reader is stopped or fails.
func (b *Bus) Consume(ctx context.Context, partition int, start Start) (*Reader, error) {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(start.Seq, 1)}
	if !start.Time.IsZero() {
		cfg = jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start.Time}
	}
	c, err := b.js.OrderedConsumer(ctx, contract.HeartbeatsStream(partition), cfg)
	if err != nil {
		return nil, lookup("consume", err)
	}
	iter, err := c.Messages(jetstream.PullMaxBytes(16 << 20))
	if err != nil {
		return nil, lookup("consume", err)
	}
	r := &Reader{messages: make(chan Message, readAhead), iter: iter}
	go r.pump(contract.CommandSubject(partition))
	return r, nil
}

// Messages is closed when the reader ends; Err then says why.
func (r *Reader) Messages() <-chan Message { return r.messages }

// Err is why the reader ended, nil when it was stopped.
func (r *Reader) Err() error { return r.err }

// Stop ends the reader. Messages may deliver a few more.
func (r *Reader) Stop() {
	r.iter.Stop()
	go func() {
		for range r.messages { //nolint:revive // the pump must not hang on a full channel
		}
	}()
}

func (r *Reader) pump(commandSubject string) {
	defer close(r.messages)
	for {
		m, err := r.iter.Next()
		if err != nil {
			if !errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				r.err = lookup("consume", err)
			}
			r.iter.Stop()
			return
		}
		meta, err := m.Metadata()
		if err != nil {
			continue // not a JetStream message: nothing in this stream is
		}
		r.messages <- Message{
			Seq: meta.Sequence.Stream, Stamp: meta.Timestamp.UTC(),
			Command: m.Subject() == commandSubject, Data: m.Data(),
		}
	}
}
