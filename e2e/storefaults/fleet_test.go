package storefaults_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	fleetSize = 24
	secret    = "secret-of-the-test"
)

// fleet is nodes that report about once a second, now up and now down, so that there are transitions all the time. The
// last three may be made silent.
type fleet struct {
	url      string
	client   *http.Client
	silent   atomic.Bool
	accepted atomic.Int64
	refused  atomic.Int64 // anything but 200, at the second try
	again    atomic.Int64 // 503 at the first try
	stop     func()
}

func newFleet(t *testing.T, url string) *fleet {
	f := &fleet{url: url, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: fleetSize}}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range fleetSize {
		wg.Go(func() { f.report(ctx, i) })
	}
	f.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); f.client.CloseIdleConnections() })
	t.Cleanup(f.stop)
	return f
}

func (f *fleet) report(ctx context.Context, i int) {
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	for next := time.NewTimer(time.Duration(i) * time.Second / fleetSize); ; next.Reset(1050 * time.Millisecond) {
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
		if i >= fleetSize-3 && f.silent.Load() {
			continue
		}
		status := "UP"
		if rng.IntN(3) == 0 {
			status = "DOWN"
		}
		body := fmt.Sprintf(`{"node_id":"node-%02d","status":%q,"reason":"test"}`, i, status)
		code := f.post(body)
		if code == http.StatusServiceUnavailable { // the disk of NATS may stall for once, which is no fault of the database
			f.again.Add(1)
			time.Sleep(300 * time.Millisecond)
			code = f.post(body)
		}
		if code == http.StatusOK {
			f.accepted.Add(1)
		} else {
			f.refused.Add(1)
		}
	}
}

func (f *fleet) post(body string) int {
	req, err := http.NewRequest(http.MethodPost, f.url+"/api/heartbeat", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := f.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
