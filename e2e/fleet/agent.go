package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// agent is one simulated agent: it sends one heartbeat after the other, and the same one again until it is accepted or
// the next one is due.
type agent struct {
	fleet  *Fleet
	id, ip string
	rng    *rand.Rand
	server int // which ingest it tries next
	wake   chan struct{}
	seq    int64

	mu             sync.Mutex
	wish           Phase
	spans          []Span
	acked, refused []Ack
}

func (a *agent) set(p Phase) {
	a.mu.Lock()
	a.wish = p
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *agent) truth() Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Node{ID: a.id, Spans: slices.Clone(a.spans), Acked: slices.Clone(a.acked), Refused: slices.Clone(a.refused)}
}

// phase makes what was wished the truth: between two heartbeats, so that the truth is what was reported.
func (a *agent) phase() Phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, last := time.Now(), len(a.spans)-1
	if last >= 0 && a.spans[last].Phase == a.wish {
		return a.wish
	}
	if last >= 0 {
		a.spans[last].To = now
	}
	a.spans = append(a.spans, Span{Phase: a.wish, From: now})
	return a.wish
}

func (a *agent) run(ctx context.Context) {
	first := time.Duration(a.rng.Int64N(int64(a.fleet.o.Interval)))
	a.sleep(ctx, first)
	for ctx.Err() == nil {
		due := time.Now().Add(a.fleet.o.Interval)
		if p := a.phase(); p != Silent {
			a.report(ctx, p, due)
		}
		a.sleep(ctx, time.Until(due))
	}
}

// sleep waits for d, or until another phase is wished.
func (a *agent) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.wake:
	case <-ctx.Done():
	}
}

// report sends a heartbeat until it is accepted, or until the next one is due and it was tried twice.
func (a *agent) report(ctx context.Context, p Phase, due time.Time) {
	a.seq++
	h := contract.Heartbeat{NodeID: a.id, IP: a.ip, Meta: fmt.Sprintf("n=%d", a.seq), Status: "UP"}
	if p == Reports {
		h.Status, h.Reason = "DOWN", "process_missing"
	}
	if !a.fleet.o.Old {
		h.BootID, h.Seq, h.IntervalSec = "boot-of-"+a.id, a.seq, a.fleet.o.Interval.Seconds()
	}
	body, err := json.Marshal(h)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	only503 := true
	for try := 0; ctx.Err() == nil && (try < 2 || time.Now().Before(due)); try++ {
		status := a.post(ctx, body)
		a.fleet.answered(status)
		if status == http.StatusOK {
			a.mu.Lock()
			a.acked = append(a.acked, Ack{Meta: h.Meta, Status: h.Status, At: time.Now()})
			a.mu.Unlock()
			return
		}
		a.server++
		only503 = only503 && status == http.StatusServiceUnavailable
		pause := 200*time.Millisecond + time.Duration(a.rng.IntN(200))*time.Millisecond
		if status == http.StatusTooManyRequests {
			pause = time.Second
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	if only503 {
		a.mu.Lock()
		a.refused = append(a.refused, Ack{Meta: h.Meta, Status: h.Status, At: time.Now()})
		a.mu.Unlock()
	}
}

// post sends a heartbeat once and returns the status, 0 for no answer.
func (a *agent) post(ctx context.Context, body []byte) int {
	ctx, cancel := context.WithTimeout(ctx, a.fleet.o.Limit)
	defer cancel()
	url := a.fleet.o.URLs[a.server%len(a.fleet.o.URLs)]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/heartbeat", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+a.fleet.o.Secret)
	resp, err := a.fleet.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}
