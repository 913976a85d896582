package web

import (
	"bytes"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

const (
	// trafficMinutes is how far back the counts of requests go.
	trafficMinutes = 60
	// maxIngests bounds how many ingests are remembered.
	maxIngests = 64
)

// traffic counts what ingests say of their requests, as far as this process heard it.
type traffic struct {
	mu      sync.Mutex
	began   time.Time // of listening; zero before the first batch
	minutes [trafficMinutes]minute
	ingests map[string]time.Time // when each was heard last
}

// minute is what was counted in one minute.
type minute struct {
	number   int64 // Unix minutes
	accepted int
	refused  map[string]int
}

// Batch notes what a published batch says of its ingest's requests. The heartbeats in it are not read.
func (s *Service) Batch(data []byte) {
	if b, ok := batchHead(data); ok {
		s.traffic.add(b, s.Now())
	}
}

// heartbeatsField is where a batch's heartbeats begin. No text of a field before can hold it, since quotes are escaped there.
var heartbeatsField = []byte(`,"heartbeats":`)

// batchHead reads a batch up to its heartbeats, which ingest writes last and which are most of it.
func batchHead(data []byte) (b contract.Batch, ok bool) {
	if i := bytes.Index(data, heartbeatsField); i >= 0 {
		data = append(append(make([]byte, 0, i+1), data[:i]...), '}')
	}
	err := json.Unmarshal(data, &b)
	return b, err == nil && b.V == contract.Version
}

func (t *traffic) add(b contract.Batch, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		t.began, t.ingests = now, make(map[string]time.Time)
	}
	if _, known := t.ingests[b.Ingest]; known || len(t.ingests) < maxIngests {
		t.ingests[b.Ingest] = now
	}
	number := now.Unix() / 60
	m := &t.minutes[number%trafficMinutes]
	if m.number != number {
		*m = minute{number: number}
	}
	m.accepted += b.Accepted
	for status, n := range b.Refused {
		if m.refused == nil {
			m.refused = make(map[string]int)
		}
		m.refused[status] += n
	}
}

// trafficSum is what was counted lately.
type trafficSum struct {
	Since    time.Time // from when on; zero when nothing was heard yet
	Accepted int
	Refused  map[string]int
	Rate     float64 // accepted heartbeats a second in the last full minute
	Rated    bool    // whether a whole minute was heard
	Ingests  map[string]time.Time
}

func (t *traffic) sum(now time.Time) trafficSum {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := trafficSum{Since: t.began, Refused: make(map[string]int), Ingests: make(map[string]time.Time)}
	number := now.Unix() / 60
	for _, m := range t.minutes {
		if m.number <= number-trafficMinutes || m.number > number {
			continue
		}
		out.Accepted += m.accepted
		for status, n := range m.refused {
			out.Refused[status] += n
		}
		if m.number == number-1 {
			out.Rate = float64(m.accepted) / 60
		}
	}
	out.Rated = !t.began.IsZero() && t.began.Unix()/60 < number-1
	if oldest := now.Add(-trafficMinutes * time.Minute); !out.Since.IsZero() && out.Since.Before(oldest) {
		out.Since = oldest
	}
	for name, heard := range t.ingests {
		if now.Sub(heard) > trafficMinutes*time.Minute {
			delete(t.ingests, name)
		}
	}
	maps.Copy(out.Ingests, t.ingests)
	return out
}
