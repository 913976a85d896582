package web

import (
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
	began   time.Time // of listening; zero before the first word
	minutes [trafficMinutes]minute
	ingests map[string]ingestSaid // by id
}

// ingestSaid is what an ingest said last.
type ingestSaid struct {
	contract.Answered
	heard time.Time
}

// minute is what was counted in one minute.
type minute struct {
	number   int64 // Unix minutes
	accepted int
	refused  map[string]int
}

// add notes what an ingest says that it answered since it started.
func (t *traffic) add(p contract.Process, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		t.began, t.ingests = now, make(map[string]ingestSaid)
	}
	before, known := t.ingests[p.ID]
	if !known {
		if len(t.ingests) >= maxIngests {
			return
		}
		before.Answered = p.Answered // what it answered before it was heard was at no known time
	}
	t.ingests[p.ID] = ingestSaid{p.Answered, now}
	number := now.Unix() / 60
	m := &t.minutes[number%trafficMinutes]
	if m.number != number {
		*m = minute{number: number}
	}
	m.accepted += more(before.Accepted, p.Accepted)
	for status, n := range p.Refused {
		grown := more(before.Refused[status], n)
		if grown == 0 {
			continue
		}
		if m.refused == nil {
			m.refused = make(map[string]int)
		}
		m.refused[status] += grown
	}
}

// more is how much a count that goes from 0 on grew; one that is smaller began anew.
func more(before, after int64) int {
	if after < before {
		before = 0
	}
	return int(after - before)
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
	for name, said := range t.ingests {
		if now.Sub(said.heard) > trafficMinutes*time.Minute {
			delete(t.ingests, name)
			continue
		}
		out.Ingests[name] = said.heard
	}
	return out
}
