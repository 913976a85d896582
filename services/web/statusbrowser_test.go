package web

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// contrastOf returns the least contrast of a text with what is behind it, as WCAG counts it.
const contrastOf = `(() => {
  const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c } return "rgb(255, 255, 255)" };
  let least = 99;
  for (const e of document.querySelectorAll("main *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
})()`

// TestBrowserStatusPage: the page and the badges in a real browser, on a phone and a wide screen, in both themes and
// languages. With SCREENSHOTS=directory they are written there, to look at.
func TestBrowserStatusPage(t *testing.T) {
	t.Parallel()
	nodes := sample()
	nodes[2].Name = strings.Repeat("длинноеимя", 6)
	service := newService(t, openIncidents{newFakeStore(nodes...)}, statusOptions(true, true), func(o *Options) { o.Now = time.Now })
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	b := newBrowser(t)
	dir := os.Getenv("SCREENSHOTS")
	for _, s := range []shot{
		{"status", server.URL + "/status?lang=en", "light", 1280, 800, false, false, false},
		{"status-phone-ru-dark", server.URL + "/status?lang=ru", "dark", 360, 740, false, false, false},
		{"badge-ru", server.URL + "/badge.svg?lang=ru", "light", 300, 60, false, false, false},
		{"badge-node", server.URL + "/badge/bravo.svg?lang=en", "light", 300, 60, false, false, false},
	} {
		b.run(prefer(s.scheme), size(s.width, s.height), chromedp.Navigate(s.url))
		if strings.Contains(s.url, "/status") {
			b.clean()
			if !eval[bool](b, "document.documentElement.scrollWidth <= innerWidth") {
				t.Errorf("%s: wider than the screen", s.name)
			}
			if got := eval[float64](b, contrastOf); got < 4.5 || got == 99 {
				t.Errorf("%s: a text has a contrast of %.2f, want 4.5", s.name, got)
			}
			if !eval[bool](b, `document.querySelectorAll("main, h1").length === 2 && document.documentElement.lang !== "" && document.title !== ""`) {
				t.Errorf("%s: a landmark or a name is missing", s.name)
			}
		} else if !eval[bool](b, `[...document.querySelectorAll("text")].every(e => { const r = e.getBBox(), w = +document.documentElement.getAttribute("width"); return r.x >= 4 && r.x + r.width <= w - 4 })`) {
			t.Errorf("%s: a text leaves the badge", s.name)
		}
		if dir != "" {
			picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, s.name+".png"), picture)
		}
	}
}
