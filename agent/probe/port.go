package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// portTimeout is how long a local program may take to accept a connection.
const portTimeout = time.Second

// Port passes when 127.0.0.1:Number accepts a TCP connection within a second.
type Port struct {
	Number int
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: the network of this machine
}

// Check implements Probe.
func (p *Port) Check(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, portTimeout)
	defer cancel()
	dial := p.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	number := strconv.Itoa(p.Number)
	conn, err := dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", number))
	if err == nil {
		conn.Close()
		return Result{}
	}
	return Result{Reason: ReasonPortClosed + number, Evidence: fmt.Sprintf("port %s: %s", number, dialTrouble(err))}
}

func dialTrouble(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "no connection within 1 s"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if call, ok := errors.AsType[*os.SyscallError](op.Err); ok {
			return call.Err.Error()
		}
		return op.Err.Error()
	}
	return err.Error()
}
