package ingest

import (
	"maps"
	"strconv"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// tally counts the heartbeat requests answered: those since the last batch, which tells them to the evaluator, since what
// ingest refused is what people need to know when the monitor is deaf; and all of them, for whoever looks at the monitor.
type tally struct {
	mu       sync.Mutex
	accepted int
	refused  map[string]int // by HTTP status
	all      contract.Answered
}

func (t *tally) accept() {
	t.mu.Lock()
	t.accepted++
	t.all.Accepted++
	t.mu.Unlock()
}

func (t *tally) refuse(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = make(map[string]int)
	}
	if t.all.Refused == nil {
		t.all.Refused = make(map[string]int64)
	}
	t.refused[strconv.Itoa(status)]++
	t.all.Refused[strconv.Itoa(status)]++
}

// answered are all requests so far.
func (t *tally) answered() contract.Answered {
	t.mu.Lock()
	defer t.mu.Unlock()
	return contract.Answered{Accepted: t.all.Accepted, Refused: maps.Clone(t.all.Refused)}
}

// moveTo puts the counts into a batch and begins anew.
func (t *tally) moveTo(b *contract.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.Accepted, b.Refused = t.accepted, t.refused
	t.accepted, t.refused = 0, nil
}

// putBack adds the counts of a batch that was not stored.
func (t *tally) putBack(b contract.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepted += b.Accepted
	if t.refused == nil {
		t.refused = b.Refused
		return
	}
	for status, n := range b.Refused {
		t.refused[status] += n
	}
}
