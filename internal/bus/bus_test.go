package bus_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start gives a server, a connection, and the streams.
func start(t *testing.T) (*bustest.Server, *bus.Bus) {
	t.Helper()
	s := bustest.Start(t)
	b := s.Connect()
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Fatal(err)
	}
	return s, b
}

func publish(t *testing.T, b *bus.Bus, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := b.Publish(t.Context(), contract.HeartbeatSubject(0), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func consume(t *testing.T, b *bus.Bus, from bus.Start) *bus.Reader {
	t.Helper()
	r, err := b.Consume(t.Context(), 0, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func next(t *testing.T, r *bus.Reader) bus.Message {
	t.Helper()
	select {
	case m, ok := <-r.Messages():
		if !ok {
			t.Fatalf("the reader ended: %v", r.Err())
		}
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message")
	}
	return bus.Message{}
}

// manage is a connection for what the bus itself never does: delete and purge.
func manage(t *testing.T, s *bustest.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestMessagesArriveInOrderWithStampAndKind(t *testing.T) {
	_, b := start(t)
	publish(t, b, "one")
	if _, err := b.Publish(t.Context(), contract.CommandSubject(0), []byte("two")); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "three")
	r := consume(t, b, bus.Start{Seq: 1})
	var last time.Time
	for i, want := range []string{"one", "two", "three"} {
		m := next(t, r)
		if string(m.Data) != want || m.Seq != uint64(i+1) || m.Command != (want == "two") || !m.Stamp.After(last) {
			t.Errorf("message %d: %+v, want %q", i, m, want)
		}
		stamp, err := b.StampAt(t.Context(), 0, m.Seq)
		if err != nil || !stamp.Equal(m.Stamp) {
			t.Errorf("StampAt(%d) = %v, %v, want %v", m.Seq, stamp, err, m.Stamp)
		}
		last = m.Stamp
	}
}

func TestConsumeFromATime(t *testing.T) {
	_, b := start(t)
	publish(t, b, "one", "two")
	second, err := b.StampAt(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if m := next(t, consume(t, b, bus.Start{Time: second})); m.Seq != 2 {
		t.Errorf("from the stamp of message 2 came %+v", m)
	}
	// Later than everything: what comes next is delivered all the same.
	r := consume(t, b, bus.Start{Time: second.Add(1)})
	publish(t, b, "three")
	if m := next(t, r); m.Seq != 3 {
		t.Errorf("from later than all came %+v", m)
	}
}

func TestMissingStreamAndMessageAreTold(t *testing.T) {
	s := bustest.Start(t)
	b := s.Connect()
	if _, err := b.Info(t.Context(), 0); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("Info without a stream: %v", err)
	}
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Errorf("the streams exist already: %v", err)
	}
	if _, err := b.StampAt(t.Context(), 0, 7); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("StampAt of nothing: %v", err)
	}
}

// A reader never goes on in a stream that was made anew: its user would not notice.
func TestReaderEndsWhenTheStreamIsRecreated(t *testing.T) {
	s, b := start(t)
	publish(t, b, "one", "two")
	before, err := b.Info(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r := consume(t, b, bus.Start{Seq: 1})
	next(t, r)
	next(t, r)
	if err := manage(t, s).DeleteStream(t.Context(), contract.HeartbeatsStream(0)); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "a", "b", "c", "d")
	select {
	case m, ok := <-r.Messages():
		if ok {
			t.Fatalf("got %+v from another stream", m)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the reader did not notice")
	}
	if r.Err() == nil {
		t.Error("the reader ended without an error")
	}
	after, err := b.Info(t.Context(), 0)
	if err != nil || after.Created.Equal(before.Created) {
		t.Errorf("info %+v, %v: want another creation time than %v", after, err, before.Created)
	}
}

func TestServerRestart(t *testing.T) {
	s, b := start(t)
	publish(t, b, "one")
	created, err := b.Info(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r := consume(t, b, bus.Start{Seq: 1})
	next(t, r)
	s.Stop()
	if _, err := b.Publish(t.Context(), contract.HeartbeatSubject(0), []byte("lost")); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("publish without a server: %v", err)
	}
	s.Restart()
	for b.Ready(t.Context()) != nil {
		time.Sleep(10 * time.Millisecond)
	}
	publish(t, b, "two")
	r2 := consume(t, b, bus.Start{Seq: 2})
	if m := next(t, r2); string(m.Data) != "two" {
		t.Errorf("after the restart came %q: what was refused must not land", m.Data)
	}
	again, err := b.Info(t.Context(), 0)
	if err != nil || !again.Created.Equal(created.Created) {
		t.Errorf("info %+v, %v: a restart must not make it another stream (%v)", again, err, created.Created)
	}
}

// The streams find room on any disk that is not tiny, and again whenever the services start.
func TestStreamsFitTheDisk(t *testing.T) {
	for _, mib := range []int64{33, 48, 64, 100, 130, 260, 1100} {
		s := bustest.StartSmall(t, mib<<20)
		for range 2 {
			b := s.Connect()
			for range 2 {
				if err := b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}); err != nil {
					t.Errorf("%d MiB: %v", mib, err)
				}
			}
			b.Close()
			s.Restart()
		}
	}
	err := bustest.StartSmall(t, 20<<20).Connect().EnsureStreams(t.Context(), 0, bus.StreamLimits{})
	if err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("20 MiB: %v, want it to say that the disk is too small", err)
	}
}

func TestAnAddressIsNeverShown(t *testing.T) {
	for _, url := range []string{"nats://u:hush%zz@x:1", "hush", "://hush"} {
		_, err := bus.Connect(bus.Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "NATS_URL") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestEventsWakeAndRepeatsAreDropped(t *testing.T) {
	s, b := start(t)
	woken := make(chan struct{}, 10)
	stop, err := b.OnNews(func() { woken <- struct{}{} }, func() time.Duration { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for range 2 {
		if err := b.Announce(t.Context(), 0, "1:0:5:0", []byte("event")); err != nil {
			t.Fatal(err)
		}
	}
	<-woken
	stream, err := manage(t, s).Stream(t.Context(), contract.EventsStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d events stored, want 1", n)
	}
}

// TestOneAnnouncementWakesForARest: while whoever was woken rests, the server sends it nothing, and after the rest it is
// woken once, whatever was announced meanwhile.
func TestOneAnnouncementWakesForARest(t *testing.T) {
	s, b := start(t)
	woken, rests := make(chan struct{}, 100), make(chan time.Duration)
	announced := 0
	announce := func(n int) (sent int64) {
		t.Helper()
		before, err := s.Varz(nil)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			announced++
			if err := b.Announce(t.Context(), 0, fmt.Sprintf("1:0:%d:0", announced), []byte("event")); err != nil {
				t.Fatal(err)
			}
		}
		after, err := s.Varz(nil)
		if err != nil {
			t.Fatal(err)
		}
		return after.OutMsgs - before.OutMsgs
	}
	stop, err := b.OnNews(func() { woken <- struct{}{} }, func() time.Duration { return <-rests })
	if err != nil {
		t.Fatal(err)
	}
	announce(1)
	<-woken
	rests <- time.Millisecond
	<-woken // what was announced in the rest was not heard
	announce(1)
	<-woken
	rests <- time.Hour
	if got := announce(10); got > 15 { // something else may be counted late
		t.Errorf("the server sent %d messages for ten announcements, want the 10 acknowledgements", got)
	}
	stop()
	if n := len(woken); n != 0 {
		t.Errorf("woken %d times in a rest", n)
	}
}

func TestClockIsTheServers(t *testing.T) {
	_, b := start(t)
	before := time.Now()
	at, err := b.Clock(t.Context(), 0)
	if err != nil || at.Before(before.Round(0)) || at.After(time.Now()) {
		t.Errorf("clock %v, %v", at, err)
	}
	if _, err := b.Clock(t.Context(), 7); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("clock of no stream: %v", err)
	}
}

// What is said of traces travels beside a message, and a message without it is the same as ever.
func TestAHeaderTravelsBesideTheMessage(t *testing.T) {
	s, b := start(t)
	heard := make(chan *nats.Msg, 1)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.ChanSubscribe("event.*", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	r := consume(t, b, bus.Start{})
	publish(t, b, "plain")
	ctx := bus.WithHeader(t.Context(), contract.TracesHeader, "0=x")
	if _, err := b.Publish(ctx, contract.HeartbeatSubject(0), []byte("traced")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, r); m.Traces != "" || string(m.Data) != "plain" {
		t.Errorf("%+v", m)
	}
	if m := next(t, r); m.Traces != "0=x" || string(m.Data) != "traced" {
		t.Errorf("%+v", m)
	}
	if err := b.Announce(bus.WithHeader(t.Context(), contract.TraceHeader, "y"), 0, "1", []byte("event")); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; m.Header.Get("traceparent") != "y" || m.Header.Get("Nats-Msg-Id") != "1" {
		t.Errorf("the event has the header %v", m.Header)
	}
	if bus.WithHeader(t.Context(), "x", "") != t.Context() {
		t.Error("an empty header makes a context")
	}
}
