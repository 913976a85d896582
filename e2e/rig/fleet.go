package rig

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fleet is agents that report once a second, each under a node_id of its own. As real agents do, one repeats a
// heartbeat that was not acknowledged until it is, at another ingest where there is one.
type Fleet struct {
	client *http.Client
	ctx    context.Context
	end    context.CancelFunc
	wg     sync.WaitGroup
	turn   atomic.Int64

	mu     sync.Mutex
	urls   []string // of ingests
	agents map[string]*agent
	acked  []Acknowledged
}

// Acknowledged is one heartbeat that was answered 200.
type Acknowledged struct {
	NodeID, Status string
	Seq            int64
	At             time.Time     // of the answer
	Took           time.Duration // from the first attempt to the answer
	Attempts       int
}

type agent struct {
	status string
	silent bool
	kick   chan struct{} // report now
}

// NewFleet makes a fleet without agents. Close ends it.
func NewFleet(urls ...string) *Fleet {
	f := &Fleet{client: &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, urls: urls, agents: map[string]*agent{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	return f
}

// Close stops all agents, each after its heartbeat at hand.
func (f *Fleet) Close() {
	f.end()
	f.wg.Wait()
	f.client.CloseIdleConnections()
}

// Aim makes agents report to these ingests from now on.
func (f *Fleet) Aim(urls ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.urls = urls
}

// Set makes the node's agent report a status, now and from now on. It starts an agent that is not there yet and
// ends a silence.
func (f *Fleet) Set(id, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.agents[id]
	if a == nil {
		a = &agent{kick: make(chan struct{}, 1)}
		f.agents[id] = a
		f.wg.Go(func() { f.run(id, a) })
	}
	a.status, a.silent = status, false
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// Silence makes the node's agent stop reporting, as a machine does that lost its power. A heartbeat on its way may
// still arrive.
func (f *Fleet) Silence(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.agents[id].silent = true
}

// Acknowledged are all heartbeats answered 200 so far, in the order of their answers.
func (f *Fleet) Acknowledged() []Acknowledged {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.acked)
}

// Last is when the node's last heartbeat was acknowledged.
func (f *Fleet) Last(id string) time.Time {
	var last time.Time
	for _, a := range f.Acknowledged() {
		if a.NodeID == id {
			last = a.At
		}
	}
	return last
}

func (f *Fleet) run(id string, a *agent) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for seq := int64(1); ; {
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		case <-a.kick:
		}
		f.mu.Lock()
		status, silent := a.status, a.silent
		f.mu.Unlock()
		if !silent && f.report(id, status, seq) {
			seq++
		}
	}
}

// report repeats one heartbeat until it is acknowledged, or the fleet is closed.
func (f *Fleet) report(id, status string, seq int64) bool {
	began := time.Now()
	body := fmt.Sprintf(`{"node_id":"%s","status":"%s","boot_id":"boot-of-%s","seq":%d}`, id, status, id, seq)
	for attempts := 1; ; attempts++ {
		if f.post(body) == http.StatusOK {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.acked = append(f.acked, Acknowledged{
				NodeID: id, Status: status, Seq: seq, At: time.Now(), Took: time.Since(began), Attempts: attempts,
			})
			return true
		}
		select {
		case <-f.ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// post sends one body to the ingest whose turn it is, and returns the status, 0 for no answer.
func (f *Fleet) post(body string) int {
	f.mu.Lock()
	url := f.urls[int(f.turn.Add(1))%len(f.urls)]
	f.mu.Unlock()
	req, err := http.NewRequest(http.MethodPost, url+"/api/heartbeat", strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+Secret)
	resp, err := f.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
