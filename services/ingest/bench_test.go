package ingest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// current is a heartbeat of a current agent.
const current = `{"node_id":"node-0000017","ip":"10.0.0.17","meta":"dc=bench,rack=7","status":"UP","interval_sec":60,` +
	`"boot_id":"b-0000017","seq":41,"agent":{"version":"1.0.0","os":"linux","arch":"amd64"},` +
	`"metrics":{"cpu_percent":7.5,"memory_percent":41.2,"disk_percent":63.0,"load1":1.25,"uptime_sec":41000},` +
	`"workload":{"name":"rl-swarm","phase":"training","round":41}}`

var neighbour = netip.MustParseAddr("10.0.0.17")

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode([]byte(current), neighbour); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	h, err := Decode([]byte(current), neighbour)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(nil, h); err != nil {
			b.Fatal(err)
		}
	}
}

// nowhere acknowledges at once.
type nowhere struct{}

func (nowhere) Ready(context.Context) error                             { return nil }
func (nowhere) Publish(context.Context, string, []byte) (uint64, error) { return 1, nil }

// working runs a service with a bus that acknowledges at once.
func working(tb testing.TB) *Service {
	tb.Helper()
	s, err := New(Options{ID: "ingest-1", Secret: testSecret, Bus: nowhere{}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Run(ctx); close(done) }()
	tb.Cleanup(func() { cancel(); <-done })
	return s
}

func BenchmarkHandler(b *testing.B) {
	h := working(b).Handler()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		r := httptest.NewRequest("POST", Path, strings.NewReader(strings.Replace(current, "0000017", fmt.Sprint(n), 1)))
		r.Header.Set("Authorization", "Bearer "+testSecret.Reveal())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// arrivals serves heartbeats of ever new nodes with the front, as its server does, without a network.
func arrivals(tb testing.TB) (serve func()) {
	tb.Helper()
	f := working(tb).Front(http.NotFoundHandler(), never)
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, nil)
	h := &ctx.Request.Header
	h.SetMethod("POST")
	h.Set("Authorization", bearer)
	ctx.Request.SetRequestURI(Path)
	body := []byte(current)
	digits := body[len(`{"node_id":"node-`):][:7]
	n := 0
	return func() {
		n++
		for i, v := len(digits)-1, n; i >= 0; i, v = i-1, v/10 {
			digits[i] = byte('0' + v%10)
		}
		ctx.Request.SetBody(body)
		ctx.Response.Reset()
		if f.leaveUnread(h); h.ConnectionClose() {
			tb.Fatal("not let in")
		}
		if f.serve(&ctx); ctx.Response.StatusCode() != 200 {
			tb.Fatal(ctx.Response.String())
		}
	}
}

func BenchmarkFront(b *testing.B) {
	serve := arrivals(b)
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
}

// A heartbeat that comes alone, with its message.
func TestTheFrontCostsFewAllocations(t *testing.T) {
	serve := arrivals(t)
	if n := fewestAllocations(serve); n > 19 { // 17 as measured, 18 with the race detector
		t.Errorf("%v allocations", n)
	}
}
