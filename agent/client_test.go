package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// request is one that a fake server got.
type request struct {
	method, uri, peer string
	header            http.Header
	body              string
}

// fakeServer answers with what the test says and records requests.
type fakeServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

func newFakeServer(t *testing.T, answer http.HandlerFunc) *fakeServer {
	t.Helper()
	s := &fakeServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, request{r.Method, r.RequestURI, r.RemoteAddr, r.Header, string(body)})
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *fakeServer) got() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

// says answers with a status and a body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func client(t *testing.T, url string) *Client {
	t.Helper()
	c := NewClient(url, "hunter2", "1.2.3", NewTransport(Proxies{}, nil))
	t.Cleanup(c.Close)
	return c
}

func TestSendSaysExactlyThis(t *testing.T) {
	s := newFakeServer(t, says(200, `{"ok":true}`))
	h := contract.Heartbeat{
		NodeID: `a"b`, IP: "192.0.2.1", Meta: "Zürich <1>", Status: "DOWN", Reason: "no_screen", Evidence: "none",
		IntervalSec: 60, BootID: "b", Seq: 7, Agent: contract.Agent{Version: "1.2.3", OS: "linux", Arch: "amd64"},
	}
	if err := client(t, s.URL).Send(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	got := s.got()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	r := got[0]
	if r.method != "POST" || r.uri != "/api/heartbeat" {
		t.Errorf("%s %s", r.method, r.uri)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer hunter2", "Content-Type": "application/json", "User-Agent": "gensyn-agent/1.2.3",
	} {
		if v := r.header.Values(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	var back contract.Heartbeat
	if err := json.Unmarshal([]byte(r.body), &back); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(back) != fmt.Sprint(h) {
		t.Errorf("body %s", r.body)
	}
	if !strings.HasPrefix(r.body, `{"node_id":"a\"b","ip":"192.0.2.1","meta":`) {
		t.Errorf("body %s", r.body)
	}
}

func TestSendKeepsThePathOfTheServer(t *testing.T) {
	s := newFakeServer(t, says(200, `{"ok":true}`))
	if err := client(t, s.URL+"/monitor").Send(t.Context(), contract.Heartbeat{}); err != nil {
		t.Fatal(err)
	}
	if uri := s.got()[0].uri; uri != "/monitor/api/heartbeat" {
		t.Errorf("uri %s", uri)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	s := newFakeServer(t, says(200, `{"ok":true}`))
	c := client(t, s.URL)
	for range 3 {
		if err := c.Send(t.Context(), contract.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	got := s.got()
	if got[0].peer != got[1].peer || got[1].peer != got[2].peer {
		t.Errorf("connections from %s, %s, %s", got[0].peer, got[1].peer, got[2].peer)
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   SendError
	}{
		{"another program", says(200, "<html>hello"), SendError{Text: "HOST answers, but is no monitor: check SERVER_URL"}},
		{"not ok", says(200, `{"ok":false}`), SendError{Text: "HOST answers, but is no monitor: check SERVER_URL"}},
		{"nothing", says(204, ""), SendError{Text: "the server answered 204"}},
		{"400", says(400, `{"detail":"meta must be a string"}`), SendError{Text: "the server answered 400 (meta must be a string): check NODE_ID and META"}},
		{"401", says(401, `{"detail":"Unauthorized"}`), SendError{Text: "the server answered 401 (Unauthorized): SHARED_SECRET is not the one of the server"}},
		{"403", says(403, `{}`), SendError{Text: "the server answered 403: this token belongs to another node: check NODE_ID and SHARED_SECRET"}},
		{"404", says(404, "not found"), SendError{Text: "the server answered 404: no monitor there, check SERVER_URL"}},
		{"413", says(413, ""), SendError{Text: "the server answered 413"}},
		{"429", says(429, `{"detail":"slowly"}`, "Retry-After", "7"), SendError{Text: "the server answered 429 (slowly)", Retry: true, RetryAfter: 7 * time.Second}},
		{"503", says(503, "", "Retry-After", "2"), SendError{Text: "the server answered 503", Retry: true, RetryAfter: 2 * time.Second}},
		{"503 without a time", says(503, ""), SendError{Text: "the server answered 503", Retry: true}},
		{"503 with a date", says(503, "", "Retry-After", "Fri, 02 Jan 2026 10:00:00 GMT"), SendError{Text: "the server answered 503", Retry: true}},
		{"503 for years", says(503, "", "Retry-After", "999999999"), SendError{Text: "the server answered 503", Retry: true, RetryAfter: time.Hour}},
		{"502", says(502, "<html>bad gateway"), SendError{Text: "the server answered 502", Retry: true}},
		{"408", says(408, ""), SendError{Text: "the server answered 408", Retry: true}},
		{"redirect", says(301, "", "Location", "https://a.example/api/heartbeat"), SendError{Text: "the server answered with a redirect to https://a.example: set SERVER_URL to that address"}},
		{"redirect of another path", says(307, "", "Location", "/login"), SendError{Text: "the server answered with a redirect to http://HOST/login: set SERVER_URL to that address"}},
		{"an echo of the secret", says(500, `{"detail":"bad\nBearer hunter2\u001b[1m"}`), SendError{Text: "the server answered 500 (bad Bearer *** [1m)", Retry: true}},
		{"a long one", says(500, `{"detail":"`+strings.Repeat("ü", 500)+`"}`), SendError{Text: "the server answered 500 (" + strings.Repeat("ü", 175) + "…", Retry: true}},
		{"an endless one", says(500, strings.Repeat("x", 1<<20)), SendError{Text: "the server answered 500", Retry: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer(t, tt.answer)
			err := client(t, s.URL).Send(t.Context(), contract.Heartbeat{})
			got, ok := errors.AsType[*SendError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			tt.want.Text = strings.ReplaceAll(tt.want.Text, "HOST", strings.TrimPrefix(s.URL, "http://"))
			answer := httptest.NewRecorder()
			tt.answer(answer, httptest.NewRequest("POST", "/", nil))
			tt.want.Status, tt.want.monitor = answer.Code, detail(answer.Body.Bytes()) != ""
			if *got != tt.want {
				t.Errorf("%+v\nwant %+v", *got, tt.want)
			}
			if n := len(s.got()); n != 1 {
				t.Errorf("%d requests: none may be followed or repeated", n)
			}
		})
	}
}

// TestNoAnswer: what goes wrong before an answer is worth another attempt, and reads the same each time.
func TestNoAnswer(t *testing.T) {
	refuses := newFakeServer(t, says(200, ""))
	refuses.Close()
	drops := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	untrusted := httptest.NewUnstartedServer(says(200, `{"ok":true}`))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	tests := []struct{ name, url, want string }{
		{"refused", refuses.URL, "no connection to HOST: dial: connect: connection refused"},
		{"dropped", drops.URL, "no answer from HOST: EOF"},
		{"certificate", untrusted.URL, "the certificate of HOST is not trusted: "},
		{"no TLS there", strings.Replace(drops.URL, "http:", "https:", 1), "HOST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, at, _ := strings.Cut(tt.url, "://")
			c := client(t, tt.url)
			var texts [2]string
			for i := range texts {
				e, ok := errors.AsType[*SendError](c.Send(t.Context(), contract.Heartbeat{}))
				if !ok || !e.Retry {
					t.Fatalf("%+v", e)
				}
				texts[i] = e.Text
			}
			want := strings.ReplaceAll(tt.want, "HOST", at)
			if !strings.Contains(texts[0], want) || texts[0] != texts[1] {
				t.Errorf("%q, then %q; want %q", texts[0], texts[1], want)
			}
		})
	}
}

func TestAHangingServer(t *testing.T) {
	release := make(chan struct{})
	s := newFakeServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // before the server waits for its requests
	c := client(t, s.URL)
	if c.http.Timeout != 10*time.Second {
		t.Errorf("limit of %v, want 10 s", c.http.Timeout)
	}
	c.http.Timeout = 50 * time.Millisecond
	e, ok := errors.AsType[*SendError](c.Send(t.Context(), contract.Heartbeat{}))
	if !ok || !e.Retry || !strings.Contains(e.Text, "no answer from 127.0.0.1") || !strings.Contains(e.Text, "within 10s") {
		t.Errorf("%+v", e)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	s := newFakeServer(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	})
	t.Cleanup(func() { close(release) })
	begun := time.Now()
	if err := client(t, s.URL).Send(ctx, contract.Heartbeat{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTroubleOfTheNetworkReadsWell(t *testing.T) {
	c := client(t, "http://monitor.example.org")
	timeout := &net.DNSError{Err: "read udp 192.0.2.1:40123->192.0.2.53:53: i/o timeout", Name: "monitor.example.org", IsTimeout: true}
	tests := []struct {
		err  error
		want string
	}{
		{&net.DNSError{Name: "monitor.example.org", IsNotFound: true}, "there is no host monitor.example.org: check SERVER_URL"},
		{timeout, "the name monitor.example.org cannot be looked up: the name server does not answer well"},
		{context.DeadlineExceeded, "no answer from monitor.example.org within 10s"},
		{&net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}, "no connection to monitor.example.org: read: connection reset by peer"},
	}
	for _, tt := range tests {
		if got := c.trouble(fmt.Errorf("outer: %w", tt.err)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
