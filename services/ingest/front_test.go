package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// TestALongBodyStillGetsAnAnswer sends a megabyte that is refused at its beginning, and wants to read why: a connection
// that is cut with bytes unread is reset, and the answer is lost with it.
func TestALongBodyStillGetsAnAnswer(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		_, server := serve(t, Options{Bus: newFakeBus()})
		const size = 1 << 20
		for authorization, want := range map[string]int{bearer: 413, "Bearer wrong": 401} {
			for range 5 {
				conn := dial(t, server)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, _ = fmt.Fprintf(conn, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
						authorization, size, strings.Repeat("x", size))
				}()
				got := readResponse(t, bufio.NewReader(conn))
				if got.StatusCode != want || !got.Close {
					t.Errorf("%s: %s, closed %v, want %d", authorization, got.Status, got.Close, want)
				}
				_ = conn.Close()
				<-sent
			}
		}
	})
}

// TestAStrangersBodyIsNotTheNextRequest hides a request in the body of one that is refused unread.
func TestAStrangersBodyIsNotTheNextRequest(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b})
		hidden := fmt.Sprintf("POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\nContent-Length: 15\r\n\r\n{\"node_id\":\"x\"}", bearer)
		for _, framing := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
			"Transfer-Encoding: chunked\r\n\r\n",
		} {
			conn := dial(t, server)
			_, _ = fmt.Fprint(conn, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer wrong\r\n"+framing)
			all, err := io.ReadAll(conn)
			if n := bytes.Count(all, []byte("HTTP/1.1 ")); err != nil || n != 1 || !bytes.HasPrefix(all, []byte("HTTP/1.1 401")) {
				t.Errorf("%d answers, %v: %s", n, err, all)
			}
		}
		if got := len(b.heartbeats()); got != 0 {
			t.Errorf("%d heartbeats stored", got)
		}
	})
}

// TestConnectionsAreKept sends many heartbeats of different lengths over few connections: none may show the bytes of
// another, though the room they are read into is used again.
func TestConnectionsAreKept(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		const conns, each = fullShare, 100 // with fewer nobody would be in a hurry, and answers would wait for others
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b})
		var clients sync.WaitGroup
		for c := range conns {
			conn := dial(t, server)
			clients.Go(func() {
				in := bufio.NewReader(conn)
				for i := range each {
					id := fmt.Sprintf("n-%d-%d", c, i)
					body := fmt.Sprintf(`{"node_id":%q,"meta":%q,"workload":{"id":%q}}`, id, strings.Repeat(id+"/", 1+i*7%50), id)
					_ = conn.SetDeadline(time.Now().Add(patience))
					_, _ = fmt.Fprintf(conn, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nauthorization: %s\r\nContent-Length: %d\r\n\r\n%s", bearer, len(body), body)
					resp, err := http.ReadResponse(in, nil)
					if err != nil || resp.StatusCode != 200 || resp.Close {
						t.Errorf("%s: %v, %v", id, resp, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		}
		clients.Wait()
		seen := make(map[string]bool)
		for _, h := range b.heartbeats() {
			seen[h.NodeID] = true
			if want := fmt.Sprintf(`{"id":%q}`, h.NodeID); string(h.Workload) != want || !strings.HasPrefix(h.Meta, h.NodeID+"/") {
				t.Errorf("%s: workload %s, meta %s", h.NodeID, h.Workload, h.Meta)
			}
		}
		if len(seen) != conns*each {
			t.Errorf("%d nodes", len(seen))
		}
	})
}

// TestProxiesAreBelieved looks at the address that stands in for a missing one, and at the sender's trace.
func TestProxiesAreBelieved(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		var trusted clientaddr.Proxies
		if err := trusted.UnmarshalText([]byte("127.0.0.1,10.0.0.0/8")); err != nil {
			t.Fatal(err)
		}
		tracer, spans := traced(t, tracing.Exporting{})
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b, TrustedProxies: trusted, Tracer: tracer})
		body := `{"node_id":"n","ip":"?"}`
		got := raw(t, server, fmt.Sprintf("POST /api/heartbeat HTTP/1.0\r\nAuthorization: %s\r\nX-Forwarded-For: 192.0.2.1, 203.0.113.7\r\n"+
			"x-forwarded-for: 10.1.1.1\r\ntraceparent: %s\r\nContent-Length: %d\r\n\r\n%s", bearer, senders, len(body), body))
		if got.StatusCode != 200 {
			t.Fatal(got.Status)
		}
		if h := b.heartbeats(); len(h) != 1 || h[0].IP != "203.0.113.7" {
			t.Errorf("stored %+v", h)
		}
		tracer.Close()
		if n := len(spans.Spans()); n != 2 {
			t.Errorf("%d spans", n)
		}
	})
}

func TestOddRequests(t *testing.T) {
	s := newService(t, Options{Bus: newFakeBus()})
	start(t, s)
	server, _ := serveFront(t, s)
	for name, c := range map[string]struct {
		request string
		status  int
		body    string
	}{
		"a header too long": {
			"POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\nX: " + strings.Repeat("x", 2*headerBytes) + "\r\n\r\n",
			431, `{"detail":"the header of the request is too long"}`,
		},
		"no HTTP":         {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, `{"detail":"the request could not be read"}`},
		"a broken header": {"POST /api/heartbeat HTTP/1.1\r\nHost: m\r\n Authorization " + bearer + "\r\n\r\n", 400, `{"detail":"the request could not be read"}`},
		"two lengths": {
			"POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{} ",
			400, `{"detail":"the request could not be read"}`,
		},
		"a length and chunks": {
			"POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			400, `{"detail":"the body is empty: it must be a JSON object"}`, // the chunks count: RFC 9112, section 6.3
		},
		"no body":        {"POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\nContent-Length: 0\r\n\r\n", 400, `{"detail":"the body is empty: it must be a JSON object"}`},
		"no length":      {"POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\n\r\n", 400, `{"detail":"the body is empty: it must be a JSON object"}`},
		"another path":   {"POST /api/nodes HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\n\r\n", 404, `{"detail":"not found: heartbeats go to /api/heartbeat"}`},
		"a whole URL":    {"POST http://m//api/heartbeat/ HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\nContent-Length: 15\r\n\r\n{\"node_id\":\"u\"}", 200, `{"ok":true}`},
		"not an address": {"GET /%zz HTTP/1.1\r\nHost: m\r\n\r\n", 400, `{"detail":"the address of the request cannot be read"}`},
		"a GET":          {"GET /api/heartbeat HTTP/1.1\r\nHost: m\r\n\r\n", 405, `{"detail":"heartbeats are sent with POST"}`},
	} {
		got := raw(t, server, c.request)
		if got.StatusCode != c.status || got.body != c.body {
			t.Errorf("%s: %s %s, want %d %s", name, got.Status, got.body, c.status, c.body)
		}
		if ct := got.Header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s: Content-Type %q", name, ct)
		}
		if got.Header.Get("Server") != "" {
			t.Errorf("%s: it says what it is: %v", name, got.Header)
		}
	}
}

// TestTheTokenOfABrokenRequestIsNotLogged sends what fasthttp complains about, quoting it.
func TestTheTokenOfABrokenRequestIsNotLogged(t *testing.T) {
	secret := testSecret.Reveal()
	for name, broken := range map[string]string{
		"a token with a carriage return": "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\r\r\nContent-Length: 2\r\n\r\n{}",
		"a token with a control byte":    "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: " + bearer + "\x01\r\nContent-Length: 2\r\n\r\n{}",
		"no version":                     "POST /api/heartbeat\r\nHost: m\r\nAuthorization: " + bearer + "\r\nContent-Length: 2\r\n\r\n{}",
		"no colon":                       "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization " + bearer + "\r\nContent-Length: 2\r\n\r\n{}",
		"a folded token":                 "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization:\r\n " + bearer + "\r\r\nContent-Length: 2\r\n\r\n{}",
		"a secret as a name":             "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\n" + secret + " : x\r\nContent-Length: 2\r\n\r\n{}",
	} {
		var log logged
		s := newService(t, Options{Bus: newFakeBus(), Log: zerolog.New(&log)}) // each with a log of its own: it takes ten lines at a time
		stop := start(t, s)
		server, end := serveFront(t, s)
		if got := raw(t, server, broken); got.StatusCode != 400 && got.StatusCode != 401 {
			t.Errorf("%s: %s", name, got.Status)
		}
		end()
		for begun := time.Now(); log.String() == ""; time.Sleep(time.Millisecond) { // the connection's end is logged after it
			if time.Since(begun) > patience {
				t.Fatalf("%s: nothing is logged", name)
			}
		}
		stop()
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s: %s", name, log.String())
		}
	}
}

// logged can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestATooLongBodyIsNotAskedFor wants 413, and not "go on" before it.
func TestATooLongBodyIsNotAskedFor(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		_, server := serve(t, Options{Bus: newFakeBus()})
		got := raw(t, server, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: "+bearer+
			"\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
		if got.StatusCode != 413 {
			t.Error(got.Status)
		}
	})
}

// TestALongHeaderIsNotKept: what was made for it would stay with the connection.
func TestALongHeaderIsNotKept(t *testing.T) {
	s := newService(t, Options{Bus: newFakeBus()})
	start(t, s)
	server, _ := serveFront(t, s)
	for lines, ends := range map[int]bool{1: false, 1500: true} {
		got := raw(t, server, "GET /nope HTTP/1.1\r\nHost: m\r\n"+strings.Repeat("a:\r\n", lines)+"\r\n")
		if got.StatusCode != 404 || got.Close != ends {
			t.Errorf("%d lines: %s, closed %v", lines, got.Status, got.Close)
		}
	}
}

// silent is a connection that says nothing until its time is over.
type silent struct{ net.Conn }

func (silent) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (silent) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// TestSilenceIsNoRequest: it is not counted, and when Shutdown closes it nobody waits for it.
func TestSilenceIsNoRequest(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newService(t, Options{Bus: newFakeBus(), Metrics: registry}).Front(http.NotFoundHandler(), never)
	answered := func() (n float64) {
		all, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range all {
			if family.GetName() == "gensyn_ingest_requests_total" {
				for _, m := range family.GetMetric() {
					n += m.GetCounter().GetValue()
				}
			}
		}
		return n
	}
	timedOut := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err     error
		lingers bool
		count   float64
	}{{timedOut, false, 0}, {fmt.Errorf("error when reading request headers: %w", timedOut), true, 1}} {
		conn := &conn{Conn: silent{}}
		var ctx fasthttp.RequestCtx
		ctx.Init2(conn, frontLog{f.Service}, false)
		before := answered()
		f.unreadable(&ctx, c.err)
		if n := answered() - before; conn.lingers != c.lingers || n != c.count {
			t.Errorf("%v: lingers %v, counted %v times", c.err, conn.lingers, n)
		}
	}
}

// short is a listener that lacks a file descriptor at first.
type short struct {
	net.Listener
	told bool
}

func (l *short) Accept() (net.Conn, error) {
	if !l.told {
		l.told = true
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestALackOfFileDescriptorsEndsNothing(t *testing.T) {
	s := newService(t, Options{Bus: newFakeBus()})
	start(t, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front, done := s.Front(s.Handler(), never), make(chan error, 1)
	go func() { done <- front.Serve(&short{Listener: l}) }()
	body := `{"node_id":"n"}`
	got := raw(t, endpoint{addr: l.Addr().String()}, fmt.Sprintf("POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nConnection: close\r\n"+
		"Authorization: %s\r\nContent-Length: %d\r\n\r\n%s", bearer, len(body), body))
	if got.StatusCode != 200 {
		t.Error(got.Status)
	}
	if err := front.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAFrontCanBeStoppedBeforeItServes(t *testing.T) {
	for range 50 {
		s := newService(t, Options{Bus: newFakeBus()})
		server, err := httpserver.Over("127.0.0.1:0", s.Front(s.Handler(), never), zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		done := make(chan error, 1)
		go func() { done <- server.Run(ctx) }()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("it does not stop")
		}
	}
}

// TestAStoppingFrontKeepsNoConnection looks at what a client is told before the listener closes, and whether a request
// at hand is answered when it does.
func TestAStoppingFrontKeepsNoConnection(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	start(t, s)
	health := httpserver.NewHealth()
	front := s.Front(s.Handler(), health.Stopping)
	server, err := httpserver.Over("127.0.0.1:0", front, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, done := t.Context(), make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	go func() { done <- server.Run(ctx) }()
	e := endpoint{addr: server.Addr().String()}
	request := func(id string) string {
		body := fmt.Sprintf(`{"node_id":%q}`, id)
		return fmt.Sprintf("POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", bearer, len(body), body)
	}
	if got := raw(t, e, request("before")); got.StatusCode != 200 || got.Close {
		t.Errorf("%s, closed %v", got.Status, got.Close)
	}
	health.Drain()
	if got := raw(t, e, request("draining")); got.StatusCode != 200 || !got.Close {
		t.Errorf("draining: %s, closed %v", got.Status, got.Close)
	}
	idle := dial(t, e)
	hold := make(chan struct{})
	b.set(func(b *fakeBus) { b.hold = hold })
	atHand := dial(t, e)
	_, _ = io.WriteString(atHand, request("at hand"))
	b.until(t, "the request is at hand", func(b *fakeBus) bool { return b.inFlight == 1 })
	begun := time.Now()
	stop()
	time.AfterFunc(200*time.Millisecond, func() { close(hold) })
	if got := readResponse(t, bufio.NewReader(atHand)); got.StatusCode != 200 || !got.Close {
		t.Errorf("at hand: %s, closed %v", got.Status, got.Close)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	_ = idle.Close()
}

// TestAPanicEndsOneRequestAlone wants the next one answered.
func TestAPanicEndsOneRequestAlone(t *testing.T) {
	var log logged
	s := newService(t, Options{Bus: newFakeBus(), Log: zerolog.New(&log)})
	server, err := httpserver.Over("127.0.0.1:0", s.Front(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(errors.New("broken"))
		}
	}), never), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	e := endpoint{addr: server.Addr().String()}
	for path, want := range map[string]int{"/panic": 500, "/": 200} {
		if got := raw(t, e, "GET "+path+" HTTP/1.1\r\nHost: m\r\n\r\n"); got.StatusCode != want {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "a request could not be served") {
		t.Errorf("log: %s", log.String())
	}
}
