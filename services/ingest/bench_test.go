package ingest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
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

func BenchmarkHandler(b *testing.B) {
	s, err := New(Options{ID: "ingest-1", Secret: testSecret, Bus: nowhere{}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { _ = s.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	h := s.Handler()
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
