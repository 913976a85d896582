package natsfaults_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const fleetSize = 30

// fleet is nodes that report about once a second, whatever the answer, and remember it.
type fleet struct {
	url    string
	client *http.Client
	stop   func()

	mu      sync.Mutex
	answers []answer
}

// answer is what became of one heartbeat, which its meta names.
type answer struct {
	meta   string
	at     time.Time // when it was sent
	took   time.Duration
	status int // 0: no answer
}

func newFleet(url string, size int) *fleet {
	f := &fleet{url: url, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: size}}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range size {
		wg.Go(func() { f.report(ctx, fmt.Sprintf("node-%02d", i), time.Duration(i)*time.Second/time.Duration(size)) })
	}
	f.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); f.client.CloseIdleConnections() })
	return f
}

// report goes on until ctx ends. A heartbeat on its way then is still awaited.
func (f *fleet) report(ctx context.Context, id string, offset time.Duration) {
	for next := time.NewTimer(offset); ; next.Reset(1050 * time.Millisecond) {
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
		a := answer{meta: fmt.Sprintf("%s@%d", id, time.Now().UnixNano()), at: time.Now()}
		a.status = f.post(fmt.Sprintf(`{"node_id":%q,"meta":%q,"status":"UP"}`, id, a.meta))
		a.took = time.Since(a.at)
		f.mu.Lock()
		f.answers = append(f.answers, a)
		f.mu.Unlock()
	}
}

func (f *fleet) post(body string) int {
	req, err := http.NewRequest(http.MethodPost, f.url+"/api/heartbeat", bytes.NewBufferString(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer secret-of-the-test")
	resp, err := f.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (f *fleet) all() []answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.answers)
}

// since are the answers to what was sent from then on.
func (f *fleet) since(from time.Time) (out []answer) {
	for _, a := range f.all() {
		if a.at.After(from) {
			out = append(out, a)
		}
	}
	return out
}

// slowest is the longest wait for an answer, and how many were neither 200 nor 503.
func (f *fleet) slowest() (took time.Duration, odd int) {
	for _, a := range f.all() {
		took = max(took, a.took)
		if a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
			odd++
		}
	}
	return took, odd
}

// refused reports whether heartbeats sent from then on are answered 503.
func (f *fleet) refused(from time.Time) bool {
	return slices.ContainsFunc(f.since(from), func(a answer) bool { return a.status == http.StatusServiceUnavailable })
}
