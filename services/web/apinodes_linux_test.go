package web

import (
	"net/http"
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
			do(s, "GET", "/api/nodes", "Accept-Encoding", "gzip")
		})
		b.ReportMetric(float64(w.Body.Len()), "bytes")
	})
	b.Run("made already", func(b *testing.B) {
		loop(b, func() {
			do(s, "GET", "/api/nodes", "Accept-Encoding", "gzip")
		})
	})
	b.Run("unchanged", func(b *testing.B) {
		loop(b, func() {
			if do(s, "GET", "/api/nodes", "If-None-Match", tag).Code != http.StatusNotModified {
				b.Fatal("it changed")
			}
		})
	})
	b.Run("not compressed", func(b *testing.B) {
		loop(b, func() {
			do(s, "GET", "/api/nodes")
		})
	})
}
