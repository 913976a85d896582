package web

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
)

const (
	// Between two tellings of all passes at least lookPause, and for each page pagePause, for each beyond manyPages crowdPause,
	// for each beyond crowdedPages throngPause, up to maxPagePause. In a storm of changes a hundred pages hear of each within a
	// sixth of a second, five hundred within one, a thousand and more within three. Each telling is a write to every page, and
	// makes every page ask anew. What happens alone is told at once, however many listen.
	pagePause    = 400 * time.Microsecond
	crowdPause   = 2 * time.Millisecond
	throngPause  = 4 * time.Millisecond
	manyPages    = 100
	crowdedPages = 500
	maxPagePause = 3 * time.Second
	// pagePatience is for about how long one page may hold up the telling of the others. A write waits only for a page
	// that has taken nothing for so long that the system keeps nothing more for it.
	pagePatience = 250 * time.Millisecond
)

var (
	newsData = []byte("event: news\ndata: {}\n\n") // something happened
	beatData = []byte(":\n\n")                     // nothing did, and the stream lives
)

// pageStream is one open page, which hears that there is news, and not what.
type pageStream struct {
	out   streamWriter
	ended chan struct{} // closed when nothing can be written to it any more

	mu   sync.Mutex // held while something is written
	over bool       // nothing may be written: its handler has returned, or will
}

// pagesTold are the open pages. All are told by the one who looks for events: waking a goroutine for each of a thousand
// costs as much as writing to it.
type pagesTold struct {
	mu      sync.Mutex
	streams map[*pageStream]struct{}
	owed    bool      // there was news since they were told last
	told    time.Time // when something was written to all

	writing atomic.Pointer[pageStream] // to whom something is being written
	writes  atomic.Int64               // how many there were, that one included
}

func (p *pagesTold) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.streams)
}

// owing reports whether pages are still to be told of news.
func (p *pagesTold) owing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owed
}

// owe has them told as soon as they may be.
func (p *pagesTold) owe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owed = len(p.streams) > 0
}

// pause is the least time between two tellings.
func (p *pagesTold) pause() time.Duration { return pauseFor(p.open()) }

// wait is how long it is until they may be told again, at least.
func (p *pagesTold) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pauseFor(len(p.streams)) - time.Since(p.told)
}

func pauseFor(pages int) time.Duration {
	few, many := min(pages, manyPages), min(pages, crowdedPages)
	return min(maxPagePause, lookPause+time.Duration(few)*pagePause+
		time.Duration(many-few)*crowdPause+time.Duration(pages-many)*throngPause)
}

// tell tells all pages when there is news, or was since they were told, unless that is too short a while ago: then they
// are owed it. When nothing was written for streamBeat they get a sign of life. Who takes nothing is given up.
func (p *pagesTold) tell(news bool) {
	data, all := p.due(news)
	if len(all) == 0 {
		return
	}
	done := make(chan struct{})
	defer close(done)
	go p.watch(done)
	for _, one := range all {
		p.writing.Store(one)
		p.writes.Add(1)
		one.write(data)
	}
}

// due is what is to be written now, and to whom.
func (p *pagesTold) due(news bool) (data []byte, all []*pageStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owed = (p.owed || news) && len(p.streams) > 0
	switch ago := time.Since(p.told); {
	case p.owed && ago >= pauseFor(len(p.streams)):
		data, p.owed = newsData, false
	case ago >= streamBeat:
		data = beatData
	default:
		return nil, nil
	}
	p.told = time.Now()
	all = make([]*pageStream, 0, len(p.streams))
	for one := range p.streams {
		all = append(all, one)
	}
	return data, all
}

// watch ends a write that does not get on, until done is closed.
func (p *pagesTold) watch(done <-chan struct{}) {
	tick := time.NewTicker(pagePatience)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		n := p.writes.Load()
		if n == last {
			_ = p.writing.Load().out.control.SetWriteDeadline(time.Now())
		}
		last = n
	}
}

// write writes to a page that is still there.
func (s *pageStream) write(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && !s.out.put(data) {
		s.over = true
		close(s.ended)
	}
}

func (p *pagesTold) join(s *pageStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams == nil {
		p.streams = make(map[*pageStream]struct{})
	}
	p.streams[s] = struct{}{}
}

// leave takes a page away. Nothing is written to it when leave has returned.
func (p *pagesTold) leave(s *pageStream) {
	p.mu.Lock()
	delete(p.streams, s)
	p.mu.Unlock()
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

// getNews answers a stream that tells a page when it should ask anew for what it shows.
func (s *Service) getNews(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.seats.take(viewer(r).Address)
	if !ok {
		tooManyStreams(w)
		return
	}
	defer leave()
	out := streamWriter{http.NewResponseController(w), w}
	me := &pageStream{out: out, ended: make(chan struct{})}
	me.mu.Lock() // what happens from now on is told behind the beginning
	s.hub.pages.join(me)
	defer s.hub.pages.leave(me)
	ok = beginStream(w, r) && out.write(retryLine())
	// From here on a write is ended by who watches it, not by a time set before each.
	_ = out.control.SetWriteDeadline(time.Time{})
	me.mu.Unlock()
	if !ok {
		return
	}
	if !s.stay(r, me) {
		return
	}
	_ = out.control.SetWriteDeadline(time.Now().Add(streamPatience)) // for the end of the answer
}

// stay waits until the stream is to end, and reports whether something can still be written to it.
func (s *Service) stay(r *http.Request, me *pageStream) bool {
	life := time.NewTimer(streamLife)
	defer life.Stop()
	rights := time.NewTimer(rightsPause())
	defer rights.Stop()
	for {
		select {
		case <-me.ended:
			return false
		case <-rights.C:
			if s.stillMayRead(r) {
				rights.Reset(rightsPause())
				continue
			}
		case <-r.Context().Done():
		case <-httpserver.Draining(r.Context()):
		case <-life.C:
		}
		return true
	}
}
