package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// browser is a tab of a real Chromium, and what it complained of.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newBrowser starts Chromium. It is needed, not wished for: a page that was never rendered was never tested.
func newBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Fatal("chromium is not in PATH: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true),
	)
	actx, stopAllocator := chromedp.NewExecAllocator(context.Background(), append(opts, more...)...)
	ctx, stop := chromedp.NewContext(actx)
	b := &browser{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.complaints = append(b.complaints, m.String()+" "+m.URL)
			b.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		// Chromium is asked to end, and waited for, so that its directory can be removed. One that does not is killed.
		closing, giveUp := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(closing)
		giveUp()
		stop()
		stopAllocator()
		reading.Wait()
	})
	return b
}

// chromium is the program under any of its names, or "".
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// run does the actions in order.
func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// patience is for a loaded machine; a test that passes waits much less.
const patience = 60 * time.Second

// eval returns the value of an expression.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	// While another page loads, even the root element may be missing: not yet, then.
	for !eval[bool](b, "(() => { try { return Boolean("+expression+") } catch { return false } })()") {
		if time.Now().After(deadline) {
			b.t.Fatalf("never true: %s\n%s", expression, eval[string](b, "document.documentElement?.outerHTML ?? ''"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// clean checks that the browser complained of nothing: no error, no violation of the policy, no file missing.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		b.t.Errorf("the browser complains: %q", b.complaints)
	}
}

// call sends a command of the protocol that has no action of its own.
func call[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func size(width, height int64) chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(width, height)
}

func prefer(scheme string) chromedp.Action[chromedp.Void] {
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

func accept(lang string) chromedp.Action[chromedp.Void] {
	return call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": lang}})
}

// serve shows a store at an address.
func serve(t *testing.T, store *fakeStore, change ...func(o *Options)) string {
	t.Helper()
	_, url := serveService(t, store, change...)
	return url
}

func serveService(t *testing.T, store *fakeStore, change ...func(o *Options)) (*Service, string) {
	t.Helper()
	service := newService(t, store, append([]func(*Options){realTime}, change...)...)
	return service, serveHandler(t, service, service.Handler())
}

// serveHandler serves a service by a handler around its own.
func serveHandler(t *testing.T, service *Service, handler http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections() // open streams
		server.Close()
	})
	running(t, service)
	return server.URL
}

// hostile are texts that are markup, script or worse wherever they are not escaped.
var hostile = []string{
	`<script>window.pwned=1</script>`,
	`"><img src=x onerror="window.pwned=2">`,
	`'><svg/onload=window.pwned=3>`,
	`</bdi></td></tr></table><script>window.pwned=4</script>`,
	`javascript:window.pwned=5`,
	`{{.}}${window.pwned=6}<!--`,
	"\u202e]]><style>*{display:none}</style>&lt;b&gt;",
}

func TestBrowserShowsHostileTextsLiterally(t *testing.T) {
	t.Parallel()
	store := newFakeStore()
	for i, text := range hostile {
		store.nodes = append(store.nodes, node.Node{
			ID: fmt.Sprintf("%d %s", i, text), Name: text, IP: text, Meta: text, Reason: text, Evidence: text,
			State: []node.State{node.Down, node.Up, node.State(text)}[i%3], Heard: ago(0), Since: ago(0),
			AgentVersion: text, OS: text, Arch: text, Metrics: text, Workload: text,
		})
	}
	store.status.Chats[0].LastError = hostile[1]
	store.status.Clock.Deaf = true
	store.status.Clock.Refused = map[string]int{hostile[0]: 1}
	url := serve(t, store, func(o *Options) { o.SiteTitle = hostile[0] })
	b := newBrowser(t)
	for _, path := range []string{"/", "/?q=" + strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "+").Replace(`"><script>window.pwned=7</script>`)} {
		b.run(chromedp.Navigate(url+path), chromedp.WaitReady(chromedp.CSS("#live")))
		b.until(`document.getElementById("fresh").textContent.includes("Live")`)
		if pwned := eval[bool](b, `"pwned" in window`); pwned {
			t.Fatalf("%s: a script ran", path)
		}
		if n := eval[int](b, `document.querySelectorAll("script, style, img, iframe, object, svg:not(.ours)").length`); n != 2 {
			t.Errorf("%s: %d foreign elements, want our one script and our sign", path, n-2)
		}
	}
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#live")))
	shown := eval[string](b, `document.getElementById("live").textContent`)
	for i, text := range hostile {
		if n := strings.Count(shown, text); n < 5 { // id, name, ip, reason, evidence, meta
			t.Errorf("%s is shown %d times", text, n)
		}
		if row := eval[string](b, fmt.Sprintf(`[...document.querySelectorAll(".id")].find(e => e.textContent.startsWith("%d ")).textContent`, i)); row != fmt.Sprintf("%d %s", i, text) {
			t.Errorf("node id is shown as %s", row)
		}
	}
	// The same once the script has put a new table in place of the old one.
	store.change(func(f *fakeStore) { f.nodes[0].Meta = "changed " + hostile[1] })
	b.until(`document.body.textContent.includes("changed ")`)
	if eval[bool](b, `"pwned" in window`) {
		t.Error("a script ran after the refresh")
	}
	b.clean()
}

func TestBrowserRefreshesWithoutAReload(t *testing.T) {
	t.Parallel()
	store := newFakeStore(sample()...)
	for i := range store.nodes { // the page's clock is real here
		store.nodes[i].Heard = node.Stamp(time.Now().UnixNano())
	}
	url := serve(t, store)
	b := newBrowser(t)
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#show-lost")), chromedp.Focus(chromedp.CSS("#show-lost")))
	b.until(`document.title === "(3) Gensyn Nodes"`)
	b.run(chromedp.Evaluate[chromedp.Void](`window.mark = "same page"`))
	// Ages run on between two refreshes.
	first := eval[string](b, `document.querySelector(".age span").textContent`)
	b.until(`document.querySelector(".age span").textContent !== "` + first + `"`)

	// They are worded as the server words them.
	for _, d := range []time.Duration{time.Hour + 5*time.Second, 5*time.Hour + 59*time.Minute + 30*time.Second, 24*time.Hour + time.Minute, 52*time.Hour + 30*time.Second} {
		// Set again at every look: a refresh puts the true time back.
		b.until(fmt.Sprintf(`(e => { const shown = e.textContent; e.dataset.at = Date.now() - %d; return shown === %q })(document.querySelector(".age span"))`,
			d.Milliseconds(), english.short(d)))
	}

	store.change(func(f *fakeStore) {
		f.nodes = append(f.nodes, node.Node{ID: "zulu", State: node.Down, Reason: "no_process", Heard: ago(0), Since: ago(0)})
		f.events = append(f.events, transition(1, "zulu", node.Down))
	})
	b.until(`document.body.textContent.includes("zulu")`)
	if order := eval[string](b, `[...document.querySelectorAll(".id")].map(e => e.textContent).join(" ")`); order != "bravo zulu charlie delta echo alpha" {
		t.Errorf("order %s", order)
	}
	b.until(`document.title === "(4) Gensyn Nodes" && document.getElementById("say").textContent.includes("2 down")`)
	if eval[string](b, `window.mark + "," + document.activeElement.id`) != "same page,show-lost" {
		t.Error("the page was loaded anew, or the focus was lost")
	}
	b.clean()

	// The table stays, with a notice, while the database is away.
	store.change(func(f *fakeStore) { f.err = context.DeadlineExceeded })
	b.until(`document.getElementById("notice").textContent.includes("cannot read its database")`)
	b.until(`document.body.textContent.includes("zulu")`)
	store.change(func(f *fakeStore) { f.err = nil })
	b.until(`document.getElementById("notice").textContent === ""`)
}

func TestBrowserSaysThatTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	service := newService(t, newFakeStore(sample()...), realTime)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	running(t, service)
	b := newBrowser(t)
	b.run(chromedp.Navigate(server.URL), chromedp.WaitReady(chromedp.CSS("#show-lost")))
	b.clean()
	server.CloseClientConnections()
	server.Close()
	b.until(`document.getElementById("notice").textContent.startsWith("No connection to the monitor. What you see is ")`)
	b.until(`document.body.textContent.includes("alpha")`)
}

func TestBrowserRecoversFromAPageWithoutATable(t *testing.T) {
	t.Parallel()
	store := newFakeStore(sample()...)
	store.err = context.DeadlineExceeded
	url := serve(t, store)
	b := newBrowser(t)
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#live")))
	b.until(`document.body.textContent.includes("The database does not answer")`)
	store.change(func(f *fakeStore) { f.err = nil })
	b.until(`document.querySelector("table") && !document.body.textContent.includes("The database does not answer")`)
}

func TestBrowserInRussian(t *testing.T) {
	t.Parallel()
	url := serve(t, newFakeStore(sample()...))
	b := newBrowser(t)
	b.run(accept("ru-RU,ru;q=0.9,en;q=0.5"), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("table")))
	if lang := eval[string](b, `document.documentElement.lang`); lang != "ru" {
		t.Errorf("lang is %s", lang)
	}
	b.until(`document.getElementById("fresh").textContent.includes("На связи")`)
	b.until(`document.getElementById("say").textContent.startsWith("Узлы: нет связи — 2")`)
	if word := eval[string](b, `document.querySelector(".age span").textContent`); !strings.HasSuffix(word, "ч") && !strings.HasSuffix(word, "д") && !strings.HasSuffix(word, "мин") {
		t.Errorf("age is %q", word)
	}
	b.run(chromedp.Click(chromedp.CSS(`a[hreflang="en"]`)), chromedp.WaitReady(chromedp.CSS("table")))
	b.until(`document.documentElement.lang === "en"`)
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("table")))
	if lang := eval[string](b, `document.documentElement.lang`); lang != "en" {
		t.Errorf("the choice is forgotten: %s", lang)
	}
	b.clean()
}

func TestBrowserFitsAPhone(t *testing.T) {
	t.Parallel()
	store := newFakeStore(sample()...)
	long := strings.Repeat("long-", 25)
	store.nodes = append(store.nodes, node.Node{
		ID: long, Name: long, IP: "2001:0db8:85a3:0000:0000:8a2e:0370:7334", Meta: long, State: node.Down,
		Reason: long, Evidence: long, Heard: ago(time.Hour), Since: ago(400 * 24 * time.Hour),
	})
	store.status.CommittedAge = time.Hour
	store.status.Chats[0].LastError = long
	full := serve(t, store, func(o *Options) { o.SiteTitle = long })
	empty := serve(t, newFakeStore(), func(o *Options) { o.AgentHint = true })
	b := newBrowser(t)
	for _, width := range []int64{320, 360, 600, 800, 1024} {
		for _, url := range []string{full, full + "/?lang=ru", empty, empty + "/?lang=ru"} {
			b.run(size(width, 740), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#live")))
			if w := eval[int64](b, `document.documentElement.scrollWidth`); w > width {
				t.Errorf("%s at %d pixels is %d wide", url, width, w)
			}
		}
	}
	b.clean()
}
