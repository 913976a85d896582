package ingest

import "time"

const (
	// maxLinger bounds how long a heartbeat waits for others to share its message. Whoever runs an agent does not notice it,
	// and a message, which is synced to the disk and read by three programs, costs ten times what a heartbeat costs.
	maxLinger = 50 * time.Millisecond
	// fullShare is how many heartbeats make waiting for more worthless: by then a message costs little beside them.
	fullShare = 16
	// tempoSpan is the time over which arrivals are counted.
	tempoSpan = 250 * time.Millisecond
)

// tempo knows how fast heartbeats arrive, and from that how long one should wait for others.
type tempo struct {
	each  float64 // a second
	since time.Time
	count int
}

// arrived counts one heartbeat.
func (t *tempo) arrived(now time.Time) {
	t.count++
	span := now.Sub(t.since)
	if span < tempoSpan {
		return
	}
	if t.since.IsZero() {
		t.count, t.since = 0, now
		return
	}
	// Half of what is new: one crowded moment is no tempo. After a long pause the count over it says so by itself.
	t.each = (t.each + float64(t.count)/span.Seconds()) / 2
	t.count, t.since = 0, now
}

// share is how many heartbeats a message should have: as many as arrive within maxLinger, fullShare at most.
func (t *tempo) share() int { return min(int(t.each*maxLinger.Seconds())+1, fullShare) }

// linger is how long a heartbeat waits for others to share its message, so that about share of them do. Those that come
// alone do not wait.
func (t *tempo) linger() time.Duration {
	share := t.share()
	if share < 3 {
		return 0
	}
	return min(time.Duration(float64(share)/t.each*float64(time.Second)), maxLinger)
}
