package web

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var wholeDay = flag.Bool("day", false, "leave the page open for a day of its own time, not for three hours")

// dayScript makes the time of a page run faster, and counts by minutes of it what the page asks for. Its ticking, which
// asks for nothing, is not made as fast: it would keep the processor from everything else.
const dayScript = `(() => {
	const speed = %d, began = Date.now(), now = Date.now.bind(Date);
	Date.now = () => began + (now() - began) * speed;
	for (const [name, times] of [["setTimeout", speed], ["setInterval", Math.min(speed, 10)]]) {
		const real = window[name].bind(window);
		window[name] = (f, ms, ...more) => real(f, ms / times, ...more);
	}
	window.minutes = new Uint16Array(4000);
	window.minute = () => Math.floor((Date.now() - began) / 60000);
	const count = () => { minutes[minute()]++; };
	const ask = window.fetch.bind(window);
	window.fetch = (...all) => { count(); return ask(...all); };
	window.EventSource = class extends EventSource {
		constructor(...all) { super(...all); count(); window.stream = this; }
	};
})()`

func atSpeed(speed int) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument,
			cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: fmt.Sprintf(dayScript, speed)})
		return err
	})
}

// holds is what the tab holds, and what its scripts do, in KiB. The least of a few looks counts: a refresh that is under way
// has a document of its own.
func (b *browser) holds() (dom memory.GetDOMCountersResult, heap int) {
	b.t.Helper()
	for i := range 5 {
		now := b.counters()
		b.run(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			got, err := cdp.Call(ctx, t, runtime.GetHeapUsage, cdp.Empty{})
			if kib := int(got.UsedSize) >> 10; i == 0 || kib < heap {
				heap = kib
			}
			return err
		}))
		if i == 0 || now.Nodes < dom.Nodes {
			dom = now
		}
	}
	return dom, heap
}

// asked are the requests of each full minute from the one on to the other, by the page's time.
func (b *browser) asked(from, to int) []int {
	b.t.Helper()
	return eval[[]int](b, fmt.Sprintf(`Array.from({ length: Math.max(0, %d - %d) }, (_, i) => minutes[i + %d])`, to, from, from))
}

// A page that is left open for a day holds at its end what it held after its beginning, and asks for little whatever
// happens: changes all the time, streams that end, a monitor that is off and comes back, another tab in front of it.
func TestBrowserADayLong(t *testing.T) {
	t.Parallel()
	const (
		speed    = 600
		perHour  = time.Hour / speed
		ordinary = 8  // requests a minute: a refresh every 15 s, those that news make, the stream
		off      = 30 // the same while the monitor does not answer, and when it comes back
	)
	hours := 3
	if *wholeDay {
		hours = 24
	}
	store := busy()
	service := newService(t, store, realTime)
	running(t, service)
	server, address := listenAt(t, service, "127.0.0.1:0")
	b := newBrowser(t)
	b.run(size(1280, 800), atSpeed(speed), chromedp.Navigate("http://"+address), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	b.run(chromedp.Evaluate[chromedp.Void](`window.mark = "same page"`))

	changes, streams, outages := 0, 0, 0
	goOn := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			changes++
			store.change(func(f *fakeStore) {
				f.nodes[changes%30].Name = fmt.Sprintf("name %d", changes)
				f.nodes[changes%30].State = []node.State{node.Down, node.Up, node.Lost}[changes%3]
				f.events = append(f.events[max(0, len(f.events)-100):], transition(1<<40+changes, "gpu-00-gensyn", node.Down))
			})
			service.Wake()
		}
	}
	minute := func() int { return eval[int](b, `minute()`) }
	held, heap := b.holds()
	worst, total := map[string]int{}, 0
	see := func(what string, from, to, most int) {
		got := b.asked(from, to)
		for _, n := range got {
			total += n
		}
		if len(got) > 0 {
			worst[what] = max(worst[what], slices.Max(got))
		}
		if worst[what] > most {
			t.Errorf("%s: %d requests in a minute, at most %d are meant to be: %v", what, worst[what], most, got)
		}
	}
	for hour := range hours {
		began := minute()
		for range 2 { // a stream lasts half an hour
			goOn(perHour * 5 / 20)
			server.endStreams()
			streams++
		}
		see("while things change", began+1, minute(), ordinary)
		if hour == 0 {
			held, heap = b.holds()
		}

		began = minute()
		_ = server.Close()
		outages++
		time.Sleep(perHour / 4)
		b.until(`!` + liveNow)
		server, _ = listenAt(t, service, address)
		b.until(liveNow)
		see("while the monitor is off", began, minute(), off)

		b.run(setHidden(true))
		began = minute()
		eventually(t, "the stream is closed", func() bool { return service.hub.open() == 0 })
		hidden := minute() + 1
		goOn(perHour / 4)
		see("until it is known to be hidden", began+1, hidden, ordinary)
		see("while hidden", hidden, minute(), 0)
		b.run(setHidden(false))
		b.until(liveNow)
	}
	after, heapAfter := b.holds()
	t.Logf("%d minutes of the page's time: %d changes, %d streams ended, %d times off; %d requests, in a minute at most %v; heap %d KiB after an hour, %d KiB at the end; DOM nodes %d, then %d; listeners %d, then %d",
		minute(), changes, streams, outages, total, worst, heap, heapAfter, held.Nodes, after.Nodes, held.JsEventListeners, after.JsEventListeners)
	if heapAfter > heap+heap/5+200 {
		t.Errorf("scripts hold %d KiB after an hour and %d KiB at the end", heap, heapAfter)
	}
	if after.Nodes > held.Nodes+held.Nodes/4 || after.JsEventListeners > held.JsEventListeners+5 || after.Documents > held.Documents+1 {
		t.Errorf("it grows: %+v, then %+v", held, after)
	}
	if eval[string](b, `window.mark`) != "same page" {
		t.Error("the page was loaded anew")
	}
}

// Where something happens all the time, a page asks at most every six tenths of a second, not for each event.
func TestBrowserIsNotDrivenByAStorm(t *testing.T) {
	t.Parallel()
	store := busy()
	_, url := serveService(t, store)
	b := newBrowser(t)
	b.run(size(1280, 800), atSpeed(1), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	const seconds = 12
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const asked = () => minutes.reduce((a, b) => a + b);
		const before = asked(), storm = setInterval(() => stream.dispatchEvent(new MessageEvent("news")), 5);
		setTimeout(() => { clearInterval(storm); window.stormed = asked() - before; }, %d);
	})()`, seconds*1000)))
	b.until(`window.stormed`)
	asked := eval[int](b, `window.stormed`)
	t.Logf("%d requests in %d s of a storm of events", asked, seconds)
	// From a quarter of a second to six tenths between two requests, a twentieth more each time.
	if most := 10 + seconds*5/3; asked > most || asked < seconds/2/slower {
		t.Errorf("%d requests in %d s, at most %d are meant to be", asked, seconds, most)
	}
	b.clean()
}

// A page where nothing happens asks four times a minute, also when the monitor cannot read its database.
func TestBrowserAsksLittleWhileNothingHappens(t *testing.T) {
	t.Parallel()
	store := busy()
	url := serve(t, store)
	b := newBrowser(t)
	b.run(size(1280, 800), atSpeed(60), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	for _, what := range []string{"all is well", "the database is away"} {
		began := eval[int](b, `minute()`) + 1
		b.until(fmt.Sprintf(`minute() >= %d`, began+4))
		got := b.asked(began, began+4)
		t.Logf("%s: %d requests a minute", what, got)
		if slices.Max(got) > 5 || slices.Max(got) == 0 {
			t.Errorf("%s: %d requests a minute", what, got)
		}
		store.change(func(f *fakeStore) { f.err = errDead })
		b.until(`document.getElementById("notice").textContent !== ""`)
	}
}

// dayServer is a server whose streams can be ended, as the monitor ends them after half an hour.
type dayServer struct {
	*http.Server

	mu   sync.Mutex
	ends []context.CancelFunc
}

func listenAt(t *testing.T, s *Service, address string) (*dayServer, string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	d := &dayServer{}
	d.Server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithCancel(r.Context())
		defer end()
		if r.URL.Path == "/api/events" {
			d.mu.Lock()
			d.ends = append(d.ends, end)
			d.mu.Unlock()
		}
		s.Handler().ServeHTTP(w, r.WithContext(ctx))
	})}
	go func() { _ = d.Serve(l) }()
	t.Cleanup(func() { _ = d.Close() })
	return d, l.Addr().String()
}

func (d *dayServer) endStreams() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, end := range d.ends {
		end()
	}
	d.ends = nil
}

// A monitor of another version makes a page load anew, but not a page that is young, nor one where somebody writes: while
// the monitor is updated, replicas of both versions may answer by turns.
func TestBrowserLoadsAnewForAnotherVersion(t *testing.T) {
	t.Parallel()
	a := newActed(t, realTime)
	next := withStore(t, a.store, realTime, func(o *Options) { o.Commands = a.stream })
	next.assets.Build = "another"
	running(t, a.s)
	running(t, next)
	var updated atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if updated.Load() {
			next.Handler().ServeHTTP(w, r)
			return
		}
		a.s.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	b := newBrowser(t)
	const note, mark, old = `form[action$="do/note"] textarea`, `window.mark = "same page"`, `performance.now = () => 61000`
	b.run(call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Authorization": basic(testUser, testPassword)}}),
		size(1280, 800), atSpeed(20), chromedp.Navigate(server.URL+"/nodes/rig-1"), chromedp.WaitReady(chromedp.CSS(note)))
	b.until(liveNow)
	b.run(chromedp.Evaluate[chromedp.Void](mark))
	updated.Store(true)
	refreshed := func() {
		b.t.Helper()
		n := eval[int](b, `minutes.reduce((a, b) => a + b)`)
		b.until(fmt.Sprintf(`minutes.reduce((a, b) => a + b) >= %d`, n+3))
		if eval[string](b, `window.mark || ""`) != "same page" {
			b.t.Fatal("the page was loaded anew")
		}
	}
	refreshed() // it is young
	b.run(chromedp.SendKeys(chromedp.CSS(note), "a new fan"), chromedp.Evaluate[chromedp.Void](old))
	refreshed() // somebody writes
	if typed := eval[string](b, `document.querySelector('`+note+`').value`); typed != "a new fan" {
		t.Errorf("typed %q", typed)
	}
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector('` + note + `').value = ""`))
	b.until(`!window.mark && document.getElementById("live")?.dataset.build === "another" && ` + liveNow)
}
