package probe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

func TestPortOfARealListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &probe.Port{Number: l.Addr().(*net.TCPAddr).Port}
	if r := p.Check(t.Context()); !r.Passed() {
		t.Errorf("open port: %+v", r)
	}
	l.Close()
	r := p.Check(t.Context())
	if r.Reason != "port_closed_"+strconv.Itoa(p.Number) {
		t.Errorf("reason %q", r.Reason)
	}
	if !strings.Contains(r.Evidence, "refused") {
		t.Errorf("evidence %q does not say that it was refused", r.Evidence)
	}
}

func TestPortLooksAtLoopbackAndClosesItsConnection(t *testing.T) {
	here, there := net.Pipe()
	if err := there.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var address string
	p := &probe.Port{Number: 3000, Dial: func(_ context.Context, network, a string) (net.Conn, error) {
		address = network + " " + a
		return here, nil
	}}
	if r := p.Check(t.Context()); !r.Passed() {
		t.Errorf("%+v", r)
	}
	if address != "tcp 127.0.0.1:3000" {
		t.Errorf("dialled %q", address)
	}
	if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is still open: %v", err)
	}
}

func TestPortThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe.Port{Number: 3000, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}}
		begun := time.Now()
		r := p.Check(t.Context())
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v, want 1 s", took)
		}
		want := probe.Result{Reason: "port_closed_3000", Evidence: "port 3000: no connection within 1 s"}
		if r != want {
			t.Errorf("%+v, want %+v", r, want)
		}
	})
}

func TestPortWithAnotherTrouble(t *testing.T) {
	p := &probe.Port{Number: 1, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no buffer space")
	}}
	want := probe.Result{Reason: "port_closed_1", Evidence: "port 1: no buffer space"}
	if r := p.Check(t.Context()); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
}
