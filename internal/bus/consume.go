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
	Pending uint64    // messages stored after it when it was delivered
	Command bool      // else it is a batch
	Data    []byte
	Traces  string // contract.TracesHeader, mostly ""
}

// StreamInfo tells one stream from another of the same name.
type StreamInfo struct {
	Created  time.Time
	First    uint64 // sequence of the oldest message
	Last     uint64 // and of the newest; Last < First when it is empty
	Replicas int    // on so many servers
	MaxBytes int64  // that it may take on each
}

// askLimit is how long a server is waited for that is asked about a stream. Asked while a leader is chosen, none ever
// answers: whoever asks again soon goes on soon after the election.
const askLimit = 2 * time.Second

// Info describes the partition's heartbeats stream. ErrNoStream when there is none.
func (b *Bus) Info(ctx context.Context, partition int) (StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	s, err := b.js.Stream(ctx, contract.HeartbeatsStream(partition))
	if err != nil {
		return StreamInfo{}, lookup("stream info", err)
	}
	info := s.CachedInfo()
	return StreamInfo{
		Created: info.Created.UTC(), First: info.State.FirstSeq, Last: info.State.LastSeq, Replicas: info.Config.Replicas,
		MaxBytes: info.Config.MaxBytes,
	}, nil
}

// Clock returns the time by the clock that stamps the partition's messages. ErrNoStream when there is none.
func (b *Bus) Clock(ctx context.Context, partition int) (time.Time, error) {
	s, err := b.js.Stream(ctx, contract.HeartbeatsStream(partition))
	if err != nil {
		return time.Time{}, lookup("the clock of NATS", err)
	}
	return s.CachedInfo().TimeStamp, nil
}

// StampAt returns the stamp of one message. ErrNoMessage when it is not there (any more, or yet).
func (b *Bus) StampAt(ctx context.Context, partition int, seq uint64) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
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

// Reader delivers the messages of a stream in order, without holes but for discarded messages. It never mends
// itself: after anything unusual it ends, so that its user can look whether the stream is still the same one.
// (An ordered consumer that mends itself would go on in a recreated stream as if nothing had happened.)
type Reader struct {
	messages chan Message
	iter     jetstream.MessagesContext
	err      error // valid once messages is closed
}

const (
	// readAhead is how many messages wait in memory at most; each may be up to 256 KiB.
	readAhead = 64
	// pullBytes bounds what the server sends ahead.
	pullBytes = 8 << 20
	// heartbeat is how often a silent server says that it is there; two missing ones end the reader.
	heartbeat = time.Second
)

// errHole means that the server sent messages which did not arrive here.
var errHole = errors.New("messages were lost between the server and here")

// Consume delivers messages from start on until the reader is stopped or fails.
func (b *Bus) Consume(ctx context.Context, partition int, start Start) (*Reader, error) {
	cfg := jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(start.Seq, 1),
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: 30 * time.Second,
	}
	if !start.Time.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &start.Time
	}
	asked, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c, err := b.js.CreateConsumer(asked, contract.HeartbeatsStream(partition), cfg)
	if err != nil {
		return nil, lookup("consume", err)
	}
	iter, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(512, pullBytes), jetstream.PullHeartbeat(heartbeat))
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

// Stop ends the reader and waits for it.
func (r *Reader) Stop() {
	r.iter.Stop()
	for range r.messages { // the pump must not hang on a full channel
	}
}

func (r *Reader) pump(commandSubject string) {
	defer close(r.messages)
	defer r.iter.Stop()
	var delivered uint64
	for {
		m, err := r.iter.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return
		}
		if err != nil {
			r.err = lookup("consume", err)
			return
		}
		meta, err := m.Metadata()
		if err != nil {
			r.err = fmt.Errorf("consume: %w", err)
			return
		}
		delivered++
		if meta.Sequence.Consumer != delivered {
			r.err = fmt.Errorf("consume: %w", errHole)
			return
		}
		r.messages <- Message{
			Seq: meta.Sequence.Stream, Stamp: meta.Timestamp.UTC(), Pending: meta.NumPending,
			Command: m.Subject() == commandSubject, Data: m.Data(), Traces: m.Headers().Get(contract.TracesHeader),
		}
	}
}
