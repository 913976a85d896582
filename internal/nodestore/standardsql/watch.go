package standardsql

import (
	"sync"
	"time"
)

// watch remembers since when this process has seen each seat's grant as it is, by its own clock.
type watch struct {
	mu   sync.Mutex
	seen map[seat]sighting
}

type sighting struct {
	grant grant
	since time.Time // after it was first read
}

// unchanged notes the grant, read between began and ended. It returns for how long at least it has stood so, and
// whether the seat was ever looked at before.
func (w *watch) unchanged(s seat, g grant, began, ended time.Time) (stood time.Duration, watched bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, watched := w.seen[s]
	if watched && last.grant == g {
		return began.Sub(last.since), true
	}
	if w.seen == nil {
		w.seen = make(map[seat]sighting)
	}
	w.seen[s] = sighting{g, ended}
	return 0, watched
}
