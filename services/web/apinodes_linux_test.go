package web

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that this process has used: what counts on a machine that others use, too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loop measures processor time beside the time that passes.
func loop(b *testing.B, do func()) {
	b.Helper()
	start := cpu(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}

// sink takes an answer and forgets it.
type sink struct {
	header http.Header
	status int
}

func (k *sink) Header() http.Header         { return k.header }
func (k *sink) Write(p []byte) (int, error) { return len(p), nil }
func (k *sink) WriteHeader(status int)      { k.status = status }

// send is do without keeping the answer.
func send(s *Service, headers ...string) int {
	r := httptest.NewRequest("GET", "/api/nodes", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	k := &sink{header: http.Header{}}
	s.Handler().ServeHTTP(k, r)
	return k.status
}

// BenchmarkNodesAPI is what GET /api/nodes of ten thousand nodes costs, without reading the database.
func BenchmarkNodesAPI(b *testing.B) {
	store := newFakeStore(fleet(10_000)...)
	s := newService(b, store)
	w := do(s, "GET", "/api/nodes", "Accept-Encoding", "gzip")
	tag := w.Header().Get("ETag")
	b.Run("afresh", func(b *testing.B) {
		snap, err := s.view.get(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		loop(b, func() {
			snap.answers.made = nil
			send(s, "Accept-Encoding", "gzip")
		})
		b.ReportMetric(float64(w.Body.Len()), "bytes")
	})
	b.Run("made already", func(b *testing.B) {
		loop(b, func() {
			send(s, "Accept-Encoding", "gzip")
		})
	})
	b.Run("unchanged", func(b *testing.B) {
		loop(b, func() {
			if send(s, "If-None-Match", tag) != http.StatusNotModified {
				b.Fatal("it changed")
			}
		})
	})
	b.Run("not compressed", func(b *testing.B) {
		loop(b, func() {
			send(s)
		})
	})
}
