package web

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	clean "github.com/gensyn-monitor/gensyn-monitor/internal/plain"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

const (
	// processGone is how long after it was heard last a process is shown: it says every ten seconds that it runs.
	processGone = time.Minute
	// maxProcesses bounds how many are remembered.
	maxProcesses = 256
	// maxProcessText bounds what a process says of itself, in bytes.
	maxProcessText = 100
)

// processes are those that were heard lately. The zero value is ready for use.
type processes struct {
	mu    sync.Mutex
	heard map[string]process // by id
}

// process is one that was heard.
type process struct {
	contract.Process
	at time.Time // when it was heard last
}

// Process notes what a process says of itself.
func (s *Service) Process(data []byte) {
	p, err := contract.DecodeProcess(data)
	if err != nil || p.ID == "" {
		return
	}
	for _, text := range []*string{&p.Service, &p.ID, &p.Version} {
		*text = clean.Line(*text, maxProcessText)
	}
	now := s.Now()
	s.processes.add(p, now)
	if p.Service == "ingest" || p.Service == "standalone" {
		s.traffic.add(p, now)
	}
}

func (x *processes) add(p contract.Process, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.heard == nil {
		x.heard = make(map[string]process)
	}
	x.forget(now)
	if _, known := x.heard[p.ID]; known || len(x.heard) < maxProcesses {
		x.heard[p.ID] = process{p, now}
	}
}

// forget drops those that were not heard for long.
func (x *processes) forget(now time.Time) {
	for id, p := range x.heard {
		if now.Sub(p.at) > processGone {
			delete(x.heard, id)
		}
	}
}

// list returns them by service and id.
func (x *processes) list(now time.Time) (all []process) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(now)
	for _, p := range x.heard {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b process) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// processJSON is a process as programs see it. Times are Unix seconds.
type processJSON struct {
	Service string `json:"service"`
	ID      string `json:"id"`
	Version string `json:"version"`
	Started int64  `json:"started"`
	Heard   int64  `json:"heard"`
}

func (s *Service) processesJSON() (out []processJSON) {
	for _, p := range s.processes.list(s.Now()) {
		out = append(out, processJSON{p.Service, p.ID, p.Version, p.Started, p.at.Unix()})
	}
	return out
}

// processRow is one process.
type processRow struct {
	Service, ID, Version string
	Other                bool // its version is not this program's
	Runs, Heard          string
}

// processRows are the processes that run, as far as this one heard.
func (s *Service) processRows(w *words, hosts bool) (rows []processRow) {
	now := s.Now()
	for _, p := range s.processes.list(now) {
		rows = append(rows, processRow{
			p.Service, hostName(p.ID, hosts), p.Version, p.Version != telemetry.Version(),
			w.short(max(now.Sub(time.Unix(p.Started, 0)), 0)), w.ago(now.Sub(p.at)),
		})
	}
	return rows
}
