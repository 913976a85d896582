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

// line knows the socket of a connection: to cut it, for the client library would go on using it for six seconds more, and
// to learn when it is gone, for the library would let a request wait for its deadline.
type line struct {
	dialer net.Dialer
	inner  nats.InProcessConnProvider // nil: dial
	mu     sync.Mutex
	latest *socket // nil before the first
}

// socket is one connection to a server.
type socket struct {
	net.Conn
	life context.Context // ends with it
	end  context.CancelFunc
}

// Close implements net.Conn. The library calls it as soon as it learns that the connection is lost.
func (s *socket) Close() error {
	s.end()
	return s.Conn.Close() //nolint:wrapcheck // in between, nothing is to be said
}

// Dial implements nats.CustomDialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	conn, err := l.dialer.Dial(network, address)
	return l.take(conn, err)
}

// InProcessConn implements nats.InProcessConnProvider.
func (l *line) InProcessConn() (net.Conn, error) {
	conn, err := l.inner.InProcessConn()
	return l.take(conn, err)
}

func (l *line) take(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: conn}
	s.life, s.end = context.WithCancel(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = s
	return s, nil
}

// socket is the one in use.
func (l *line) socket() *socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// bind is the context, ended with errLost as its cause when the socket is gone. Of many at once, some may be held up by the
// library while it connects anew.
func (s *socket) bind(ctx context.Context) (bound context.Context, unbind func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(errLost) })
	return ctx, func() { stop(); cancel(nil) }
}

// cut closes the socket and throws away what it holds unsent. The library connects anew by itself.
func (s *socket) cut() {
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = s.Close()
}

// publish stores one message, and says after an error why it may not be stored.
func (b *Bus) publish(ctx context.Context, stream, subject string, data []byte, o ...jetstream.PublishOpt) (uint64, error) {
	// While it connects, the library lets a request wait, whatever its deadline, and sends it afterwards all the same. Of
	// each that it refuses it keeps a place for the answer, for good.
	if b.nc.Status() != nats.CONNECTED {
		return 0, fmt.Errorf("%w: not connected", ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return 0, unavailable(err)
	}
	begun, socket := time.Now(), b.line.socket()
	bound, unbind := socket.bind(ctx)
	defer unbind()
	ack, err := b.js.PublishMsg(bound, message(ctx, subject, data), append(o, jetstream.WithRetryAttempts(0))...)
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.Is(context.Cause(bound), errLost):
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, errLost)
	case errors.Is(err, context.DeadlineExceeded) && time.Since(begun) >= silent:
		return 0, b.explain(socket, stream)
	}
	return 0, unavailable(err)
}

// explain finds out why nothing was acknowledged. When the server does not answer that either, the socket is cut: what a
// frozen server has not received yet must not be stored once it thaws, for it was answered 503.
func (b *Bus) explain(asked *socket, stream string) error {
	ctx, cancel := context.WithTimeout(context.Background(), explainLimit)
	defer cancel()
	ctx, unbind := asked.bind(ctx)
	defer unbind()
	s, err := b.js.Stream(ctx, stream)
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return unavailable(err)
	case err != nil:
		asked.cut()
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
