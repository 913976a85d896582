package web

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
)

const (
	// streamBeat is how often a quiet stream says that it lives; proxies cut what is silent for a minute.
	streamBeat = 15 * time.Second
	// streamPatience is how long a reader may take none of what it is sent.
	streamPatience = 10 * time.Second
	// streamLife is after how long a stream ends. Its reader comes back: to another replica, perhaps.
	streamLife = 30 * time.Minute
	// rightsEvery is how often, at least, it is looked at whether the reader of a stream may still read: who signs out elsewhere
	// is told nothing more.
	rightsEvery = time.Minute
)

// getEvents answers a stream of server-sent events: "change" for events of nodes, "monitor" for those of the monitor,
// "status" when the database goes or comes back, "reset" when something was missed. Last-Event-ID continues a stream. With
// ?brief it answers "news" alone, for pages, which ask anew for what they show: a thousand of them would be sent megabytes a
// second that nobody looks at.
func (s *Service) getEvents(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	if asked.Has("brief") {
		s.getNews(w, r)
		return
	}
	leave, ok := s.seats.take(viewer(r).Address)
	if !ok {
		tooManyStreams(w)
		return
	}
	defer leave()
	me, missed := s.hub.join(cmp.Or(r.Header.Get("Last-Event-ID"), asked.Get("after")))
	defer s.hub.leave(me)
	if !beginStream(w, r) {
		return
	}
	out := streamWriter{http.NewResponseController(w), w}
	ok = out.write(retryLine())
	for _, m := range missed {
		ok = ok && out.write(m.data)
	}
	if ok {
		s.follow(r, me, out)
	}
}

// rightsPause is the time until rights are looked at. Streams that began together, after a restart, do not stay in step.
func rightsPause() time.Duration { return rightsEvery/2 + rand.N(rightsEvery/2) }

// stillMayRead reports whether who opened a stream may read it yet. While that cannot be found out, they may.
func (s *Service) stillMayRead(r *http.Request) bool {
	_, no := s.identify(r)
	return no == nil || no.status != http.StatusUnauthorized
}

func tooManyStreams(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "30")
	detail(w, http.StatusServiceUnavailable, "too many streams are open")
}

// beginStream sends the head of an answer that is a stream, and reports whether the stream was asked for, too.
func beginStream(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	return r.Method != http.MethodHead
}

// retryLine is what a stream begins with: readers of a monitor that starts again must not come back all at once.
func retryLine() []byte { return fmt.Appendf(nil, "retry: %d\n\n", 1000+rand.IntN(4000)) }

// follow writes what comes until the reader leaves, or takes nothing any more, or the server stops.
func (s *Service) follow(r *http.Request, me *reader, out streamWriter) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	life := time.NewTimer(streamLife)
	defer life.Stop()
	rights := time.NewTimer(rightsPause())
	defer rights.Stop()
	for ok := true; ok; {
		select {
		case <-r.Context().Done():
			return
		case <-httpserver.Draining(r.Context()):
			return
		case <-life.C:
			return
		case <-rights.C:
			ok = s.stillMayRead(r)
			rights.Reset(rightsPause())
		case m := <-me.queue:
			ok = out.write(m.data)
		case <-me.missed:
			ok = out.write(resetMessage.data)
		case <-beat.C:
			ok = out.write([]byte(":\n\n"))
		}
	}
}

// streamWriter writes and flushes within streamPatience.
type streamWriter struct {
	control *http.ResponseController
	w       http.ResponseWriter
}

func (o streamWriter) write(data []byte) bool {
	// A recorder of tests knows no deadline.
	_ = o.control.SetWriteDeadline(time.Now().Add(streamPatience))
	return o.put(data)
}

// put writes and flushes without setting until when.
func (o streamWriter) put(data []byte) bool {
	if _, err := o.w.Write(data); err != nil {
		return false
	}
	return o.control.Flush() == nil
}
