package web

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// finding is one thing that axe-core complains of.
type finding struct {
	ID, Impact, Help string
	Nodes            []string
}

// axe returns what axe-core finds on the page that is shown: WCAG 2.2 A and AA, and good practice.
func (b *browser) axe(library string) []finding {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](library + ";undefined"))
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]finding](`axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
	}).then(r => r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map(n => n.html + " — " + n.failureSummary)})))`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func TestBrowserPagesAreAccessible(t *testing.T) {
	t.Parallel()
	library, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	service, url := serveService(t, busy())
	sendTraffic(service)
	empty := serve(t, newFakeStore(), func(o *Options) { o.AgentHint = true })
	dead := newFakeStore()
	dead.err = errDead
	broken := serve(t, dead)
	b := newBrowser(t)
	for _, page := range []string{
		url + "/?", url + "/?q=nothing", url + "/nodes/gpu-03-gensyn?", url + "/nodes/gpu-11-gensyn?", url + "/nodes/nobody?", url + "/incidents?", url + "/monitor?",
		empty + "/?", broken + "/?", broken + "/nodes/x?",
	} {
		for _, as := range []shot{{url: "lang=en", scheme: "light", width: 1280}, {url: "lang=ru", scheme: "dark", width: 390}} {
			address := page + "&" + as.url
			b.run(prefer(as.scheme), size(as.width, 900), chromedp.Navigate(address), chromedp.WaitReady(chromedp.CSS("#live")))
			for _, f := range b.axe(string(library)) {
				t.Errorf("%s (%s, %d wide): %s, %s: %s\n  %s", address, as.scheme, as.width, f.Impact, f.ID, f.Help, strings.Join(f.Nodes, "\n  "))
			}
		}
	}
}
