package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// ErrNotStored means that NATS runs and answers, and stores nothing all the same. nats-server 2.15 keeps a write error
// such as a full disk until it is restarted, and does not answer to what it could not write.
var ErrNotStored = errors.New("NATS answers but stores nothing: its disk is full, or was")

const (
	// silent is the least time without an acknowledgement from which the server, not the caller's haste, is at fault.
	silent = time.Second
	// explainLimit bounds the question why there was none. A server that runs answers within milliseconds.
	explainLimit = 500 * time.Millisecond
	// writeLimit bounds one write to the server.
	writeLimit = 2 * time.Second
)

// errLost ends the wait for an acknowledgement: it would have come over a connection that is gone.
var errLost = errors.New("the connection was lost")

// line holds the socket of a connection, to cut it. The client library would go on using it for six seconds more.
type line struct {
	dialer net.Dialer
	mu     sync.Mutex
	conn   net.Conn
	life   context.Context // of the connection in use; it ends when that is lost
	end    context.CancelFunc
}

func newLine(dialer net.Dialer) *line {
	l := &line{dialer: dialer}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// lost ends whatever waits for an answer over the connection that was in use.
func (l *line) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	l.life, l.end = context.WithCancel(context.Background())
}

// bind is the context, ended with errLost as its cause when the connection in use is lost. The library itself would let
// a request wait for its deadline.
func (l *line) bind(ctx context.Context) (context.Context, func()) {
	l.mu.Lock()
	life := l.life
	l.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(life, func() { cancel(errLost) })
	return ctx, func() { unbind(); cancel(nil) }
}

// Dial implements nats.CustomDialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	conn, err := l.dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	return conn, nil
}

// cut closes the socket and throws away what it holds unsent. The library connects anew by itself.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return
	}
	if tcp, ok := l.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = l.conn.Close()
	l.conn = nil
}

// publish stores one message, and says after an error why it may not be stored.
func (b *Bus) publish(ctx context.Context, stream, subject string, data []byte, o ...jetstream.PublishOpt) (uint64, error) {
	begun := time.Now()
	ctx, unbind := b.line.bind(ctx)
	defer unbind()
	ack, err := b.js.PublishMsg(ctx, message(ctx, subject, data), append(o, jetstream.WithRetryAttempts(0))...)
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.Is(context.Cause(ctx), errLost):
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, errLost)
	case errors.Is(err, context.DeadlineExceeded) && time.Since(begun) >= silent:
		return 0, b.explain(stream)
	}
	return 0, unavailable(err)
}

// explain finds out why nothing was acknowledged. When the server does not answer that either, the connection is cut:
// what a frozen server has not received yet must not be stored once it thaws, for it was answered 503.
func (b *Bus) explain(stream string) error {
	ctx, cancel := context.WithTimeout(context.Background(), explainLimit)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return unavailable(err)
	case err != nil:
		b.line.cut()
		return fmt.Errorf("%w: no answer", ErrUnavailable)
	}
	info := s.CachedInfo()
	if why := minority(info.Cluster, info.Config.Replicas); why != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, why)
	}
	if b.embedded {
		return fmt.Errorf("%w: %w: make room on it", ErrUnavailable, ErrNotStored)
	}
	return fmt.Errorf("%w: %w: make room on it, then restart nats-server", ErrUnavailable, ErrNotStored)
}

// minority says that too few replicas of a stream are there to store anything, or nil.
func minority(c *jetstream.ClusterInfo, replicas int) error {
	if c == nil || replicas < 2 {
		return nil
	}
	away := 0
	for _, r := range c.Replicas {
		if r.Offline || !r.Current {
			away++
		}
	}
	if c.Leader != "" && replicas-away > replicas/2 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d replicas of the stream are away", errNoMajority, away, replicas)
}

var errNoMajority = errors.New("the NATS cluster has no majority: start its other servers")

// unavailable adds ErrUnavailable to what may be cured by waiting; a closed connection, a full disk, no leader, no
// answer: for a caller they are one.
func unavailable(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, nats.ErrReconnectBufExceeded): // there is no such buffer here: see Connect
		return fmt.Errorf("%w: not connected", ErrUnavailable)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: no server takes it: the stream is missing, or is choosing a leader", ErrUnavailable)
	case errors.As(err, &api) && api.ErrorCode == errClusterNotAvailable:
		return fmt.Errorf("%w: %w", ErrUnavailable, errNoMajority)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Codes of nats-server (errors.json).
const (
	errInsufficientStorage = 10047 // JSStorageResourcesExceededErr
	errClusterNotAvailable = 10008 // JSClusterNotAvailErr
	errReplicasUnsupported = 10074 // JSStreamReplicasNotSupportedErr: the server is in no cluster
	errNoPeers             = 10005 // JSClusterNoPeersErrF: the cluster has too few servers, or too little room
)

// Publish stores one message and returns its sequence in the stream. It is never retried: after an error the message
// may have been stored or not. The context bounds the wait for the acknowledgement.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) (uint64, error) {
	seq, err := b.publish(ctx, streamOf(subject), subject, data)
	if err != nil {
		return 0, fmt.Errorf("publish to %s: %w", subject, err)
	}
	return seq, nil
}

// streamOf is the stream that stores the subject of a partition.
func streamOf(subject string) string {
	_, partition, _ := strings.Cut(subject, ".")
	n, _ := strconv.Atoi(partition) // subjects come from package contract
	return contract.HeartbeatsStream(n)
}

// Announce publishes an event under its id, so that a repetition within two minutes is dropped by the server.
func (b *Bus) Announce(ctx context.Context, partition int, id string, data []byte) error {
	_, err := b.publish(ctx, contract.EventsStream, contract.EventSubject(partition), data, jetstream.WithMsgID(id))
	if err != nil {
		return fmt.Errorf("announce %s: %w", id, err)
	}
	return nil
}
