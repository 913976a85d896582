package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/link"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
)

var silentSubject = contract.HeartbeatSubject(99) // of no stream: whoever hears it does not answer

// deaf hears what is published under silentSubject, and answers nothing.
func deaf(t *testing.T, s *bustest.Server) <-chan *nats.Msg {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	heard := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe(silentSubject, heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return heard
}

// overLink is a bus that reaches the server over a link.
func overLink(t *testing.T, s *bustest.Server) (*link.Link, *bus.Bus) {
	t.Helper()
	k, err := link.New(strings.TrimPrefix(s.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	b, err := bus.Connect(bus.Options{URL: "nats://" + k.Addr(), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	ready(t, b)
	return k, b
}

func ready(t *testing.T, b *bus.Bus) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); b.Ready(t.Context()) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(b.Ready(t.Context()))
		}
	}
}

// away waits until it is noticed that the connection is lost.
func away(t *testing.T, b *bus.Bus) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); b.Ready(t.Context()) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still connected")
		}
	}
}

// publishing publishes in the background what nobody will answer, within the limit.
func publishing(t *testing.T, b *bus.Bus, text string, limit time.Duration) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := b.Publish(ctx, silentSubject, []byte(text))
		result <- err
	}()
	return result
}

// A message that is on its way when the server dies is not waited for: behind it others would wait, be told that they may
// not be stored, and then be stored by the server that is back.
func TestNoAnswerIsAwaitedOfALostConnection(t *testing.T) {
	s := bustest.Start(t)
	inProcess, err := bus.Connect(bus.Options{InProcess: s.Server, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer inProcess.Close()
	ready(t, inProcess)
	b := s.Connect()
	heard := deaf(t, s)
	results := []<-chan error{publishing(t, b, "on its way", time.Minute), publishing(t, inProcess, "on its way", time.Minute)}
	for range results {
		select {
		case <-heard:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is sent")
		}
	}
	s.Stop()
	for _, r := range results {
		select {
		case err := <-r:
			if !errors.Is(err, bus.ErrUnavailable) {
				t.Errorf("on its way when the server ended: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the answer is still awaited, though the server ended")
		}
	}
	s.Restart()
	ready(t, b)
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "of the next connection")
}

// The question why nothing is acknowledged goes to the connection that was silent. When that was lost meanwhile, the next
// one is not to blame.
func TestASilentConnectionIsCutNotTheNext(t *testing.T) {
	s := bustest.Start(t)
	deaf(t, s)
	k, b := overLink(t, s)
	k.Hold(true)
	first := publishing(t, b, "first", 1050*time.Millisecond) // silence from a second on is a fault
	time.Sleep(1100 * time.Millisecond)                       // the question is asked, and goes on for half a second
	k.Cut()
	away(t, b)
	k.Hold(false)
	ready(t, b)
	second := publishing(t, b, "second", 500*time.Millisecond)
	if err := <-first; !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("of the silent connection: %v", err)
	}
	if err := <-second; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of the next connection, which nobody cut: %v", err)
	}
}

// While the library connects, it lets a request wait for longer than its deadline: it must not send it then.
func TestNothingIsSentAfterItsDeadline(t *testing.T) {
	s := bustest.Start(t)
	heard := deaf(t, s)
	k, b := overLink(t, s)
	k.Hold(true)
	k.Cut()
	time.Sleep(800 * time.Millisecond) // it connects anew within 750 ms, and gets no greeting
	late := publishing(t, b, "given up", 100*time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	k.Hold(false)
	if err := <-late; !errors.Is(err, bus.ErrUnavailable) {
		t.Error(err)
	}
	ready(t, b)
	atLast := publishing(t, b, "sent", 5*time.Second) // is behind whatever was sent
	select {
	case m := <-heard:
		if string(m.Data) != "sent" {
			t.Errorf("%q was sent", m.Data)
		}
	case err := <-atLast:
		t.Fatal(err)
	}
	k.Cut()
	<-atLast
}

// The library keeps a place for the answer to each request that it refuses.
func TestAnOutageCostsNoMemory(t *testing.T) {
	const tries = 20_000
	s := bustest.Start(t)
	b := s.Connect()
	s.Stop()
	away(t, b)
	before := heap()
	for range tries {
		if _, err := b.Publish(t.Context(), silentSubject, []byte("refused")); !errors.Is(err, bus.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if grown := heap() - before; grown > 50*tries {
		t.Errorf("%d bytes for each heartbeat that could not be stored", grown/tries)
	}
}
