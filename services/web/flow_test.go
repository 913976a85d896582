package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// live waits until the page hears of changes.
const liveNow = `document.documentElement.classList.contains("live")`

// What somebody does who was told of a node that is down, on a phone and at a desk, in both languages.
func TestBrowserFlow(t *testing.T) {
	t.Parallel()
	service, url := serveService(t, busy())
	sendTraffic(service)
	b := newBrowser(t)
	for _, as := range []struct {
		lang          string
		width, height int64
		down, up      string
		incidents     string
		taken, monior string
	}{
		{"en", 1280, 800, "port 3000 is closed", "Up again after", "Incidents", "Taken care of by Anna", "Evaluation lag"},
		{"ru", 1280, 800, "порт 3000 закрыт", "Снова работает, спустя", "Инциденты", "Занимается Anna", "Отставание"},
		{"en", 390, 844, "port 3000 is closed", "Up again after", "Incidents", "Taken care of by Anna", "Evaluation lag"},
		{"ru", 390, 844, "порт 3000 закрыт", "Снова работает, спустя", "Инциденты", "Занимается Anna", "Отставание"},
	} {
		says := func(text string) {
			b.until(fmt.Sprintf(`document.getElementById("main")?.innerText.includes(%q)`, text))
		}
		b.run(size(as.width, as.height), chromedp.Navigate(url+"/?lang="+as.lang), chromedp.WaitReady(chromedp.CSS("#show-down")))
		b.until(liveNow)
		b.run(chromedp.Click(chromedp.CSS("#show-down")))
		b.until(`document.querySelectorAll("tbody tr").length === 2 && document.querySelector("#show-down")?.ariaCurrent === "true"`)
		// Searching shows what matches while one types, and the address can be handed on.
		b.until(liveNow)
		b.run(chromedp.SendKeys(chromedp.CSS("#search input[type=search]"), "gpu-03"))
		b.until(`document.querySelectorAll("tbody tr").length === 1 && location.search.includes("q=gpu-03") && location.search.includes("state=down")`)
		b.run(chromedp.Click(chromedp.CSS(".node a")), chromedp.WaitReady(chromedp.CSS(".now")))
		says(as.down)
		says(as.up)
		says(as.taken)
		b.run(chromedp.Click(chromedp.CSS("summary")))
		b.until(`document.querySelector("details pre")?.innerText.includes('"node_id": "gpu-03-gensyn"')`)
		b.run(chromedp.Click(chromedp.CSS(`.head .sorts a:last-child`)))
		b.until(`location.search.includes("range=7d")`)
		b.until(`document.querySelectorAll(".chart").length === 5`)
		b.run(chromedp.Click(chromedp.CSS(`.bar nav li:nth-child(2) a`)))
		b.until(fmt.Sprintf(`document.querySelector("h1")?.textContent === %q`, as.incidents))
		says(as.taken)
		b.run(chromedp.Click(chromedp.CSS(`.bar nav li:nth-child(3) a`)), chromedp.WaitReady(chromedp.CSS(".panels")))
		says(as.monior)
		if w := eval[int64](b, `document.documentElement.scrollWidth`); w > as.width {
			t.Errorf("the page is %d wide, the screen %d", w, as.width)
		}
		b.run(chromedp.Click(chromedp.CSS(`.brand`)), chromedp.WaitReady(chromedp.CSS("#show-all")))
		b.until(liveNow)
	}
	b.clean()
}

// Every page fits a phone, whatever is on it.
func TestBrowserPagesFitAPhone(t *testing.T) {
	t.Parallel()
	store := busy()
	long := strings.Repeat("long-", 25)
	n := &store.nodes[3]
	n.Name, n.Reason, n.Evidence, n.Meta, n.IP = long, long, long+long, long, "2001:0db8:85a3:0000:0000:8a2e:0370:7334"
	store.status.Chats[0].LastError = long
	for i := range store.incidents {
		store.incidents[i].Name, store.incidents[i].Reason = long, long
	}
	url := serve(t, store)
	b := newBrowser(t)
	for _, width := range []int64{320, 390, 700, 1024} {
		for _, path := range []string{"/nodes/gpu-03-gensyn", "/incidents", "/monitor", "/"} {
			b.run(size(width, 740), chromedp.Navigate(url+path), chromedp.WaitReady(chromedp.CSS("#live")))
			if w := eval[int64](b, `document.documentElement.scrollWidth`); w > width {
				t.Errorf("%s at %d pixels is %d wide", path, width, w)
			}
		}
	}
	b.clean()
}

// Without a mouse: the first stop leads past the navigation, every stop is seen, and none is a trap.
func TestBrowserByKeyboard(t *testing.T) {
	t.Parallel()
	url := serve(t, newFakeStore(sample()...))
	b := newBrowser(t)
	b.run(size(1280, 800), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	var stops []string
	for range 40 {
		b.run(chromedp.KeyEvent(kb.Tab))
		stop := eval[string](b, `(e => e === document.body ? "" : (e.className || e.name || e.textContent.trim()))(document.activeElement)`)
		if stop == "" {
			break
		}
		if !eval[bool](b, `(s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))`) {
			t.Errorf("the focus on %s is not seen", stop)
		}
		stops = append(stops, stop)
	}
	got := strings.Join(stops, " | ")
	if want := "skip | brand | Nodes | Incidents | Monitor | Русский | q | Search | chip all | chip lost | chip down | chip degraded | chip up"; !strings.HasPrefix(got, want) {
		t.Errorf("stops: %s", got)
	}
	if !strings.HasSuffix(got, "The same as JSON | CSV | OpenAPI") {
		t.Errorf("the end is not reached: %s", got)
	}
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-all")), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.id === "main"`)
	b.clean()
}

// Whatever a page needs to be read is in its HTML.
func TestBrowserWithoutJavaScript(t *testing.T) {
	t.Parallel()
	url := serve(t, busy())
	b := newBrowser(t)
	b.run(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	for path, text := range map[string]string{
		"/?q=gpu-03": "port 3000 is closed", "/nodes/gpu-03-gensyn": "Up again after", "/incidents": "Taken care of by Anna", "/monitor": "Lease holder",
	} {
		b.run(size(1280, 800), chromedp.Navigate(url+path), chromedp.WaitReady(chromedp.CSS("#live")))
		// The protocol's own evaluation is not the page's.
		if got := eval[string](b, `document.body.innerText`); !strings.Contains(got, text) || !strings.Contains(got, "Without JavaScript") {
			t.Errorf("%s does not say %q: %s", path, text, got)
		}
	}
	b.run(chromedp.Navigate(url+"/"), chromedp.WaitReady(chromedp.CSS("#show-down")), chromedp.Click(chromedp.CSS("#show-down")))
	b.until(`location.search === "?state=down" && document.querySelectorAll("tbody tr").length === 2`)
	b.clean()
}

// A change is on the open page within a second of its commit, announced by an event. It is measured alone, and what it
// takes is the median: other programs on the machine come on top of it.
func TestBrowserShowsAChangeWithinASecond(t *testing.T) {
	store := busy()
	service, url := serveService(t, store)
	b := newBrowser(t)
	b.run(size(1280, 800), chromedp.Navigate(url+"/?sort=id"), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	b.run(chromedp.Evaluate[chromedp.Void](`window.seen = 0; new MutationObserver(() => {
		const e = document.querySelector('[data-key="gpu-00-gensyn"] .badge');
		if (e.classList.contains(window.want) && !window.seen) window.seen = Date.now();
	}).observe(document.getElementById("live"), { subtree: true, childList: true, attributes: true, characterData: true })`))
	var took []time.Duration
	for i := range 9 {
		to := []node.State{node.Down, node.Up}[i%2]
		time.Sleep(700 * time.Millisecond) // changes do not come in step with refreshes
		b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`window.seen = 0; window.want = %q`, to)))
		began := time.Now()
		store.change(func(f *fakeStore) {
			f.nodes[0].State, f.nodes[0].Since = to, node.Stamp(began.UnixNano())
			f.events = append(f.events, transition(1<<40+i, "gpu-00-gensyn", to))
		})
		service.Wake()
		b.until(`window.seen`)
		took = append(took, time.UnixMilli(eval[int64](b, `window.seen`)).Sub(began).Round(time.Millisecond))
	}
	slices.Sort(took)
	t.Logf("a change was shown after %v, at most %v", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > time.Second*slower {
		t.Errorf("a change was shown after %v", took)
	}
	b.clean()
}

// counters are what a tab holds.
func (b *browser) counters() memory.GetDOMCountersResult {
	b.t.Helper()
	var got memory.GetDOMCountersResult
	b.run(call(heapprofiler.CollectGarbage, cdp.Empty{}), chromedp.Func(func(ctx context.Context, t *chromedp.Target) (err error) {
		got, err = cdp.Call(ctx, t, memory.GetDOMCounters, cdp.Empty{})
		return err
	}))
	return got
}

// A page that stays open takes what it took after its first refreshes.
func TestBrowserLeaksNothing(t *testing.T) {
	t.Parallel()
	store := busy()
	service, url := serveService(t, store)
	b := newBrowser(t)
	b.run(size(1280, 800), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	n := 0
	refresh := func(times int) {
		for range times {
			n++
			name := fmt.Sprintf("name %d", n)
			store.change(func(f *fakeStore) {
				for i := range f.nodes {
					f.nodes[i].Name = name
				}
				f.nodes[n%30].State = []node.State{node.Down, node.Up}[n%2]
				f.events = append(f.events, transition(1<<40+n, "gpu-00-gensyn", node.Down))
			})
			service.Wake()
			b.until(fmt.Sprintf(`document.querySelector(".name").textContent === %q`, name))
		}
	}
	refresh(3)
	before := b.counters()
	refresh(15)
	after := b.counters()
	t.Logf("before %+v, after fifteen refreshes %+v", before, after)
	if after.Nodes > before.Nodes+before.Nodes/4 || after.JsEventListeners > before.JsEventListeners+5 || after.Documents > before.Documents+1 {
		t.Errorf("it grows: %+v, then %+v", before, after)
	}
	b.clean()
}

// setHidden is another tab in front of the page, or not any more.
func setHidden(hidden bool) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		`Object.defineProperty(document, "hidden", { value: %v, configurable: true }); document.dispatchEvent(new Event("visibilitychange"))`, hidden))
}

func TestBrowserIsQuietWhileHidden(t *testing.T) {
	t.Parallel()
	store := busy()
	var asked atomic.Int64
	service := newService(t, store, realTime)
	url := serveHandler(t, service, counting(service.Handler(), &asked))
	b := newBrowser(t)
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	b.run(setHidden(true))
	eventually(t, "the stream is closed", func() bool { return service.hub.open() == 0 })
	before := asked.Load()
	if before == 0 {
		t.Error("no request was counted")
	}
	store.change(func(f *fakeStore) {
		f.nodes[0].Name = "renamed meanwhile"
		f.events = append(f.events, transition(1<<40, "gpu-00-gensyn", node.Down))
	})
	service.Wake()
	time.Sleep(3 * time.Second) // in which nothing happens
	if n := asked.Load() - before; n != 0 {
		t.Errorf("%d requests while it is hidden", n)
	}
	b.run(setHidden(false))
	b.until(`document.body.textContent.includes("renamed meanwhile") && ` + liveNow)
	b.clean()
}

func counting(next http.Handler, n *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		next.ServeHTTP(w, r)
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// The monitor goes and comes back at the same address: the page says so, goes on, and does not hammer meanwhile.
func TestBrowserComesBackWithTheMonitor(t *testing.T) {
	t.Parallel()
	store := busy()
	service := newService(t, store, realTime)
	running(t, service)
	start := func(address string) (*http.Server, string) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: service.Handler()}
		go func() { _ = server.Serve(l) }()
		return server, l.Addr().String()
	}
	server, address := start("127.0.0.1:0")
	b := newBrowser(t)
	b.run(chromedp.Navigate("http://"+address), chromedp.WaitReady(chromedp.CSS("#show-all")))
	b.until(liveNow)
	b.clean()
	b.run(chromedp.Evaluate[chromedp.Void](`window.mark = "same page"`))
	_ = server.Close()
	b.until(`document.getElementById("notice").textContent.startsWith("No connection") && !` + liveNow)
	store.change(func(f *fakeStore) { f.nodes[0].Name = "renamed meanwhile" })
	service.forget()
	server, _ = start(address)
	defer server.Close()
	b.until(`document.body.textContent.includes("renamed meanwhile") && document.getElementById("notice").textContent === "" && ` + liveNow)
	if eval[string](b, `window.mark`) != "same page" {
		t.Error("the page was loaded anew")
	}
}
