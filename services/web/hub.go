package web

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	// lookEvery is how often the database is asked for events that no announcement told of.
	lookEvery = 2 * time.Second
	// lookPause is the least time between two looks: a storm of announcements must not become a storm of queries.
	lookPause = 100 * time.Millisecond
	// readerPause is added for each reader, up to maxLookPause: a storm must not become one of writes either, and a change
	// shall be with every reader within a second.
	readerPause  = 400 * time.Microsecond
	maxLookPause = 500 * time.Millisecond
	// lookBack is how many events one look can find. What lies further back is told as one "reset".
	lookBack = 256
	// lookLeast is how many events a look asks for when nothing happens, and how many of those that it knows it must find
	// among what it asked for, so that it has missed none before them; else it asks for lookBack.
	lookLeast = 16
	// readerQueue is how many looks a reader may lag before it is told to look for itself.
	readerQueue = 64
)

// hub tells all open pages and streams of new events. It asks the database once, whoever listens, and encodes each
// event once.
type hub struct {
	events func(ctx context.Context, limit int) ([]nodestore.StoredEvent, error)
	woken  chan struct{}

	mu      sync.Mutex
	readers map[*reader]struct{}
	pages   pagesTold
	begun   bool // the events before the first look are known, so that what comes is new
	seen    map[string]bool
	order   []string   // what was seen, oldest first
	found   int        // how many were new at the last look
	ring    []*message // the last events, oldest first, for readers that come back
	broken  bool       // the last look failed
}

// message is one event of the stream, or those of one look, as they go over the wire.
type message struct {
	id   string // "" for what is no event of the store
	data []byte
}

// reader is one open stream of events.
type reader struct {
	queue  chan *message
	missed chan struct{} // has one element when messages were dropped
}

func newHub(events func(ctx context.Context, limit int) ([]nodestore.StoredEvent, error)) *hub {
	return &hub{events: events, woken: make(chan struct{}, 1), readers: make(map[*reader]struct{}), seen: make(map[string]bool)}
}

// resetMessage tells a reader that it missed something, and should read anew what it shows.
var resetMessage = &message{data: []byte("event: reset\ndata: {}\n\n")}

func statusMessage(ok bool) *message {
	return &message{data: fmt.Appendf(nil, "event: status\ndata: {\"database\":%v}\n\n", ok)}
}

// wake says that there may be new events.
func (h *hub) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// run looks for events until ctx ends. news is called before readers are told, so that what they ask for then is new.
func (h *hub) run(ctx context.Context, news func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		pause := time.NewTimer(h.pause(h.look(ctx, news)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		if h.pages.owing() {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.woken:
		}
	}
}

// pause is the least time until the next look: no sooner than somebody can be told what it finds. After one that found
// nothing a change is told at once, however many listen.
func (h *hub) pause(found bool) time.Duration {
	switch {
	case !found && !h.pages.owing():
		return lookPause
	case h.listening():
		return h.rest()
	}
	return max(h.pages.wait(), lookPause)
}

// rest is the pause after a look that found something.
func (h *hub) rest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.readers); n > 0 {
		return min(lookPause+time.Duration(n)*readerPause, maxLookPause)
	}
	return h.pages.pause()
}

// listening reports whether anybody wants to hear more than that there is news.
func (h *hub) listening() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers) > 0
}

// look reads the newest events and tells those that are new. It reports whether there were any.
func (h *hub) look(ctx context.Context, news func()) (found bool) {
	rctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	events, err := h.newest(rctx)
	if ctx.Err() != nil {
		return false
	}
	messages := h.fresh(events, err)
	if found = len(messages) > 0; found {
		news()
		h.tell(messages)
	}
	h.pages.tell(found)
	return found
}

// newest reads the newest events: about as many as are likely to be new, and more when not enough of them are known.
func (h *hub) newest(ctx context.Context) ([]nodestore.StoredEvent, error) {
	h.mu.Lock()
	limit := lookBack
	if h.begun {
		limit = min(2*(lookLeast+h.found), lookBack)
	}
	h.mu.Unlock()
	events, err := h.events(ctx, limit)
	if err != nil || limit == lookBack || len(events) < limit || h.known(events) >= lookLeast {
		return events, err
	}
	return h.events(ctx, lookBack)
}

// known is how many of the events were seen before.
func (h *hub) known(events []nodestore.StoredEvent) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		if h.seen[events[i].ID.String()] {
			n++
		}
	}
	return n
}

// fresh returns what is to be told after a look.
func (h *hub) fresh(events []nodestore.StoredEvent, err error) (out []*message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if changed := h.broken != (err != nil); changed {
		h.broken = err != nil
		out = append(out, statusMessage(err == nil))
	}
	if err != nil {
		return out
	}
	h.found = 0
	for i := len(events) - 1; i >= 0; i-- {
		id := events[i].ID.String()
		if h.seen[id] {
			continue
		}
		h.found++
		h.seen[id] = true
		h.order = append(h.order, id)
		m := encodeEvent(&events[i])
		h.remember(m)
		if h.begun {
			out = append(out, m)
		}
	}
	if h.begun && h.found == lookBack {
		out = append(out, resetMessage)
	}
	if !h.begun {
		h.begun, h.found = true, 0
	}
	for len(h.order) > 2*lookBack {
		delete(h.seen, h.order[0])
		h.order = h.order[1:]
	}
	return out
}

func (h *hub) remember(m *message) {
	h.ring = append(h.ring, m)
	if len(h.ring) > 2*lookBack {
		h.ring = append([]*message(nil), h.ring[len(h.ring)-lookBack:]...)
	}
}

// tell hands what one look found to all readers, as one piece. Nobody is waited for: who lags gets "you missed something"
// in its place.
func (h *hub) tell(messages []*message) {
	var all message
	for _, m := range messages {
		all.data = append(all.data, m.data...)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.readers {
		r.offer(&all)
	}
}

// reset tells everybody at once to read anew what they show.
func (h *hub) reset() {
	h.tell([]*message{resetMessage})
	h.pages.owe()
	h.wake()
}

func (r *reader) offer(m *message) {
	select {
	case r.queue <- m:
	default:
		select {
		case r.missed <- struct{}{}:
		default:
		}
	}
}

// join adds a reader that has seen events up to the one with the id last, "" for one that begins. It returns what the
// reader missed.
func (h *hub) join(last string) (r *reader, missed []*message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r = &reader{queue: make(chan *message, readerQueue), missed: make(chan struct{}, 1)}
	h.readers[r] = struct{}{}
	return r, h.after(last)
}

func (h *hub) after(last string) []*message {
	if last == "" {
		return nil
	}
	for i, m := range h.ring {
		if m.id == last {
			return append([]*message(nil), h.ring[i+1:]...)
		}
	}
	return []*message{resetMessage}
}

func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}

// open is how many streams there are.
func (h *hub) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers) + h.pages.open()
}

// eventData is one event of the stream. It holds no address and no evidence, which may name one: everybody who may see
// the page may read it.
type eventData struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	NodeID string `json:"node_id,omitempty"`
	Name   string `json:"name,omitempty"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at_unix_ms"`
	Found  int64  `json:"found_unix_ms"`
	Quiet  bool   `json:"quiet,omitempty"`
}

func encodeEvent(e *nodestore.StoredEvent) *message {
	name := "monitor"
	if e.NodeID != "" {
		name = "change"
	}
	id := e.ID.String()
	data, _ := json.Marshal(eventData{ // of texts and numbers: it can always be encoded
		ID: id, Kind: string(e.Kind), NodeID: e.NodeID, Name: e.Name, From: string(e.From), To: string(e.To),
		Reason: hideAddresses(e.Reason), At: e.At.Time().UnixMilli(), Found: e.Found.UnixMilli(), Quiet: e.Quiet,
	})
	return &message{id: id, data: fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", id, name, data)}
}
