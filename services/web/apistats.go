package web

import (
	"math"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

// statsJSON is how all nodes stand, and the monitor itself. Times are Unix seconds.
type statsJSON struct {
	Nodes        int            `json:"nodes"`
	Counts       map[string]int `json:"counts"` // by state, of the four known ones at least
	Version      string         `json:"version"`
	Stale        int64          `json:"stale_sec"` // 0 while the data is as new as it should be
	CommittedAge *int64         `json:"committed_age_sec"`
	Behind       *int64         `json:"behind_sec"` // age of the newest message that was folded; null before the first
	Deaf         bool           `json:"deaf"`
	Position     positionJSON   `json:"position"`
	Settings     settingsJSON   `json:"settings"`
	Overflow     int64          `json:"overflow"` // heartbeats of nodes beyond max_nodes
	Refused      map[string]int `json:"refused"`  // requests since the last accepted heartbeat, by status
	Owner        string         `json:"owner,omitempty"`
	Term         int64          `json:"term"`
	Chats        []chatJSON     `json:"chats,omitempty"`
	Processes    []processJSON  `json:"processes,omitempty"` // that say that they run
}

type positionJSON struct {
	Epoch int64  `json:"epoch"`
	Seq   uint64 `json:"seq"`
	Stamp *int64 `json:"stamp"`
}

type settingsJSON struct {
	Threshold float64 `json:"threshold_sec"`
	MaxNodes  int     `json:"max_nodes"`
}

type chatJSON struct {
	Chat      string  `json:"chat"`
	Active    bool    `json:"active"` // a notifier holds its lease
	Waiting   int     `json:"waiting"`
	Oldest    *int64  `json:"oldest_waiting"`
	LastTold  *int64  `json:"last_told"`
	LastError *string `json:"last_error"`
}

// getStats answers how everything stands, from one row of the database.
func (s *Service) getStats(w http.ResponseWriter, r *http.Request) {
	at, err := s.standing.get(r.Context())
	if err != nil {
		unavailable(w, "the database does not answer")
		return
	}
	now := at.now(s.Now())
	setStale(w, at.staleness(now))
	out := newStats(at, now)
	out.Processes = s.processesJSON()
	if !viewer(r).Addresses {
		out.Owner, out.Chats, out.Processes = "", nil, nil
	}
	answer(w, http.StatusOK, out)
}

func newStats(at *standing, now time.Time) statsJSON {
	status := &at.status
	c := &status.Clock
	out := statsJSON{
		Counts: make(map[string]int), Version: telemetry.Version(), Stale: whole(at.staleness(now)), Deaf: c.Deaf,
		Position: positionJSON{Epoch: c.Position.Epoch, Seq: c.Position.Seq, Stamp: optional(c.Position.Stamp)},
		Settings: settingsJSON{Threshold: c.Settings.Threshold.Seconds(), MaxNodes: c.Settings.MaxNodes},
		Overflow: c.Overflow, Refused: make(map[string]int), Owner: status.Owner, Term: status.Term,
	}
	for _, state := range states {
		out.Counts[string(state)] = 0
	}
	for state, n := range status.Counts {
		out.Counts[string(state)] = n
		out.Nodes += n
	}
	for code, n := range c.Refused {
		out.Refused[code] = n
	}
	if status.Term != 0 {
		out.CommittedAge = new(whole(at.committedAge(now)))
	}
	if c.Position.Stamp != 0 {
		out.Behind = new(whole(at.behind(now)))
	}
	for _, chat := range status.Chats {
		out.Chats = append(out.Chats, newChatJSON(chat))
	}
	return out
}

func newChatJSON(c nodestore.ChatStatus) chatJSON {
	return chatJSON{
		Chat: c.Chat, Active: c.Active, Waiting: c.Waiting, Oldest: unixOrNull(c.Oldest), LastTold: unixOrNull(c.LastTold),
		LastError: textOrNull(c.LastError),
	}
}

func unixOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.Unix())
}

// whole is a duration in seconds, never negative: it may be a difference of two clocks.
func whole(d time.Duration) int64 { return int64(math.Max(0, d.Seconds())) }
