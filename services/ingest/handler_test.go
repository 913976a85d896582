package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

const bearer = "Bearer " + string(testSecret)

// post sends a body to a handler without a network.
func post(h http.Handler, path, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://monitor/", strings.NewReader(body))
	r.URL.Path = path
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, status, body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

// TestHeartbeatOfEveryAgent sends the bytes of all known agents over a real connection.
func TestHeartbeatOfEveryAgent(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		bodies, err := filepath.Glob("testdata/wire/*.body")
		if err != nil || len(bodies) == 0 {
			t.Fatal("no bodies: ", err)
		}
		for _, path := range bodies {
			t.Run(filepath.Base(path), func(t *testing.T) {
				b := newFakeBus()
				_, server := serve(t, Options{Bus: b})
				body := mustRead(t, path)
				got := raw(t, server, fmt.Sprintf("POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nUser-Agent: curl/8.5.0\r\n"+
					"Accept: */*\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
					bearer, len(body), body))
				if got.StatusCode != http.StatusOK || got.body != `{"ok":true}` {
					t.Fatalf("%d %s", got.StatusCode, got.body)
				}
				want, err := Decode(body, netip.MustParseAddr("127.0.0.1"))
				if err != nil {
					t.Fatal(err)
				}
				if h := b.heartbeats(); !reflect.DeepEqual(h, []contract.Heartbeat{want}) {
					t.Errorf("stored %+v", h)
				}
			})
		}
	})
}

type rawResponse struct {
	*http.Response
	body string
}

// raw writes bytes to a server and reads one response.
func raw(t *testing.T, server endpoint, request string) rawResponse {
	t.Helper()
	conn := dial(t, server)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, bufio.NewReader(conn))
}

func dial(t *testing.T, server endpoint) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func readResponse(t *testing.T, r *bufio.Reader) rawResponse {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return rawResponse{resp, string(body)}
}

func TestExpectContinue(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b})
		body := mustRead(t, "testdata/wire/powershell_latin1.body")
		conn := dial(t, server)
		in := bufio.NewReader(conn)
		_, _ = fmt.Fprintf(conn, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\n"+
			"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", bearer, len(body))
		if first := readResponse(t, in); first.StatusCode != http.StatusContinue {
			t.Fatalf("got %s", first.Status)
		}
		_, _ = conn.Write(body)
		if got := readResponse(t, in); got.StatusCode != http.StatusOK || got.body != `{"ok":true}` {
			t.Fatalf("got %s %s", got.Status, got.body)
		}
		if h := b.heartbeats(); len(h) != 1 || h[0].NodeID != "WIN-ÄPFEL-gensyn" {
			t.Errorf("stored %+v", h)
		}
	})
}

func TestPaths(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	start(t, s)
	outer := chi.NewRouter()
	outer.Mount("/api", s.Handler())
	for i, path := range []string{"/api/heartbeat", "//api/heartbeat", "/api/heartbeat/", "//api//heartbeat//"} {
		body := fmt.Sprintf(`{"node_id":"%d"}`, i)
		expect(t, post(s.Handler(), path, bearer, body), 200, `{"ok":true}`)
		if !Serves(path) {
			t.Errorf("%s is not served", path)
		}
	}
	expect(t, post(outer, "/api/heartbeat", bearer, `{"node_id":"mounted"}`), 200, `{"ok":true}`)
	for _, path := range []string{"/", "/api", "/api/heartbeats", "/heartbeat", "/api/heartbeat/x", "/API/heartbeat"} {
		expect(t, post(s.Handler(), path, bearer, `{"node_id":"x"}`), 404, `{"detail":"not found: heartbeats go to /api/heartbeat"}`)
		if Serves(path) {
			t.Errorf("%s is served", path)
		}
	}
	if got := len(b.heartbeats()); got != 5 {
		t.Errorf("%d heartbeats stored", got)
	}
}

func TestMethods(t *testing.T) {
	s := newService(t, Options{Bus: newFakeBus()})
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		for _, path := range []string{"/api/heartbeat", "//api/heartbeat/"} {
			r := httptest.NewRequest(method, "http://monitor/", nil)
			r.URL.Path = path
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			expect(t, w, 405, `{"detail":"heartbeats are sent with POST"}`)
			if got := w.Header().Get("Allow"); got != "POST" {
				t.Errorf("Allow %q", got)
			}
		}
	}
}

func TestToken(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	start(t, s)
	secret := testSecret.Reveal()
	for i, good := range []string{"Bearer " + secret, "bearer " + secret, "BEARER   " + secret, "  bEaReR\t" + secret + " "} {
		expect(t, post(s.Handler(), Path, good, fmt.Sprintf(`{"node_id":"%d"}`, i)), 200, `{"ok":true}`)
	}
	for _, bad := range []string{"", secret, "Bearer", "Bearer ", "Basic " + secret, "Bearer x" + secret, "Bearer " + secret + "x",
		"Bearer " + strings.ToUpper(secret), "Bearer " + secret + " " + secret, "Bearer" + secret, "Bearer \x00"} {
		w := post(s.Handler(), Path, bad, `{"node_id":"bad"}`)
		expect(t, w, 401, `{"detail":"Unauthorized"}`)
	}
	if got := len(b.heartbeats()); got != 4 {
		t.Errorf("%d heartbeats stored", got)
	}
}

func TestContentTypeIsNotLookedAt(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b})
		for i, ct := range []string{"", "application/x-www-form-urlencoded", "text/plain; charset=utf-16", "multipart/form-data"} {
			body := fmt.Sprintf(`{"node_id":"%d"}`, i)
			got := raw(t, server, fmt.Sprintf("POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\n"+
				"Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", bearer, ct, len(body), body))
			if got.StatusCode != 200 {
				t.Errorf("%q: %s", ct, got.Status)
			}
		}
	})
}

func TestBadBodies(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	start(t, s)
	full := `{"node_id":"a","meta":"` + strings.Repeat("x", contract.MaxBodyBytes-25) + `"}`
	if len(full) != contract.MaxBodyBytes {
		t.Fatalf("the full body has %d bytes", len(full))
	}
	expect(t, post(s.Handler(), Path, bearer, full), 200, `{"ok":true}`)
	tooLong := `{"detail":"the body must be at most 65536 bytes long"}`
	expect(t, post(s.Handler(), Path, bearer, full+" "), 413, tooLong)
	expect(t, post(s.Handler(), Path, bearer, `{"node_id":""}`), 400, `{"detail":"node_id required"}`)
	expect(t, post(s.Handler(), Path, bearer, `{"status":"UP"}`), 400, `{"detail":"node_id required"}`)
	expect(t, post(s.Handler(), Path, bearer, `{"node_id":"a","seq":"<"}`), 400, `{"detail":"seq must be a whole number"}`)
	w := post(s.Handler(), Path, bearer, `{"node_id":"a","ip":"","meta":"a"b"}`)
	expect(t, w, 400, `{"detail":"invalid JSON at byte 34: invalid character 'b' after object key:value pair (a \" or \\ inside a value must be escaped)"}`)
	if got := len(b.heartbeats()); got != 1 {
		t.Errorf("%d heartbeats stored", got)
	}
}

// TestTooLongWithoutLength sends chunks, whose sum nobody declared.
func TestTooLongWithoutLength(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b})
		chunk := strings.Repeat("x", 60<<10)
		got := raw(t, server, fmt.Sprintf("POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n", bearer, len(chunk), chunk, len(chunk), chunk))
		if got.StatusCode != 413 {
			t.Errorf("got %s %s", got.Status, got.body)
		}
	})
}

// TestUnauthorizedBeforeTheBody declares a body and sends half of it, or none.
func TestUnauthorizedBeforeTheBody(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		_, server := serve(t, Options{Bus: newFakeBus()})
		for _, sent := range []string{"", `{"node_id":`} {
			got := raw(t, server, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer wrong\r\n"+
				"Content-Length: 50\r\n\r\n"+sent)
			if got.StatusCode != 401 || got.body != `{"detail":"Unauthorized"}` {
				t.Errorf("got %s %s", got.Status, got.body)
			}
		}
		got := raw(t, server, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n")
		if got.StatusCode != 401 {
			t.Errorf("with Expect: got %s", got.Status)
		}
	})
}

// TestUnauthorizedIsRidOfAtOnce wants the connection closed, whatever the stranger still means to send.
func TestUnauthorizedIsRidOfAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		_, server := serve(t, Options{Bus: newFakeBus()})
		conn := dial(t, server)
		_, _ = fmt.Fprint(conn, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer wrong\r\nContent-Length: 100\r\n\r\n")
		began := time.Now()
		if err := conn.SetReadDeadline(began.Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401") {
			t.Errorf("%q, %v", answer, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the connection was held for %v", took)
		}
	})
}

// TestSlowClientHoldsNobody answers a hundred clients while others have sent half a body.
func TestSlowClientHoldsNobody(t *testing.T) {
	eachServer(t, func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint)) {
		b := newFakeBus()
		_, server := serve(t, Options{Bus: b})
		half, rest := `{"node_id":"slow",`, `"status":"UP"}`
		slow := dial(t, server)
		_, _ = fmt.Fprintf(slow, "POST /api/heartbeat HTTP/1.1\r\nHost: m\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
			bearer, len(half+rest), half)
		var clients sync.WaitGroup
		for i := range 100 {
			clients.Go(func() {
				body := fmt.Sprintf(`{"node_id":"fast-%d"}`, i)
				if status, _, err := send(server.URL, body); err != nil || status != 200 {
					t.Errorf("client %d: %d, %v", i, status, err)
				}
			})
		}
		clients.Wait()
		if got := len(b.heartbeats()); got != 100 {
			t.Errorf("%d heartbeats stored", got)
		}
		_, _ = io.WriteString(slow, rest)
		if got := readResponse(t, bufio.NewReader(slow)); got.StatusCode != 200 {
			t.Errorf("the slow client got %s", got.Status)
		}
	})
}

// send posts a heartbeat with a connection of its own.
func send(url, body string) (status int, header http.Header, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	req, err := http.NewRequest(http.MethodPost, url+Path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", bearer)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header, err
}

// TestSecretsStayInside looks for the secret, and for a token that was wrong by a typing error, in the log.
func TestSecretsStayInside(t *testing.T) {
	var log logged
	b := newFakeBus()
	b.err = errors.New("away")
	s := newService(t, Options{Bus: b, Log: zerolog.New(&log)})
	stop := start(t, s)
	post(s.Handler(), Path, "Bearer x"+testSecret.Reveal(), `{}`)
	post(s.Handler(), Path, bearer, `{"node_id":"a"}`)
	post(s.Handler(), Path, bearer, `{"node_id":`)
	stop()
	if !strings.Contains(log.String(), "Unauthorized") || strings.Contains(log.String(), testSecret.Reveal()) {
		t.Errorf("log: %s", log.String())
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no secret": {ID: "i", Bus: newFakeBus()},
		"no id":     {Secret: "s", Bus: newFakeBus()},
		"no bus":    {ID: "i", Secret: "s"},
	} {
		if s, err := New(o); err == nil || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}
