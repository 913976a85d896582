package web

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

var updateImages = flag.Bool("update-images", false, "write the screenshots of docs/images anew")

// shot is a page as somebody sees it.
type shot struct {
	name, url, scheme string
	width, height     int64
	full              bool // the whole page, not what fits
	keep              bool // it is one of docs/images
}

// TestBrowserScreenshots renders every page in both themes and sizes. With -update-images it writes those of the README,
// and with SCREENSHOTS=directory all of them, to look at.
func TestBrowserScreenshots(t *testing.T) {
	t.Parallel()
	service, url := serveService(t, busy())
	sendTraffic(service)
	empty := serve(t, newFakeStore(), func(o *Options) { o.AgentHint = true })
	dead := newFakeStore()
	dead.err = errDead
	broken := serve(t, dead)
	b := newBrowser(t)
	dir := os.Getenv("SCREENSHOTS")
	for _, s := range []shot{
		{"nodes", url + "/?lang=en", "light", 1280, 800, false, true},
		{"nodes-ru-dark", url + "/?lang=ru", "dark", 1280, 800, false, true},
		{"nodes-phone", url + "/?lang=en", "light", 390, 844, false, true},
		{"node", url + "/nodes/gpu-03-gensyn?lang=en", "light", 1280, 1000, false, true},
		{"node-phone-ru-dark", url + "/nodes/gpu-03-gensyn?lang=ru&range=7d", "dark", 390, 2000, false, false},
		{"node-lost", url + "/nodes/gpu-11-gensyn?lang=en", "dark", 1280, 800, true, false},
		{"incidents", url + "/incidents?lang=en", "light", 1280, 800, false, true},
		{"incidents-phone-ru", url + "/incidents?lang=ru", "light", 390, 844, false, false},
		{"monitor", url + "/monitor?lang=en", "light", 1280, 800, true, true},
		{"monitor-phone-ru-dark", url + "/monitor?lang=ru", "dark", 390, 844, true, false},
		{"tablet", url + "/?lang=en", "light", 820, 1100, false, false},
		{"empty", empty + "/?lang=en", "light", 1280, 800, false, false},
		{"empty-phone-ru-dark", empty + "/?lang=ru", "dark", 360, 740, false, false},
		{"broken", broken + "/?lang=en", "light", 1280, 800, false, false},
		{"nothing-found", url + "/?q=nothing&lang=en", "light", 1280, 800, false, false},
		{"gone", url + "/nodes/nobody?lang=ru", "light", 1280, 800, false, false},
	} {
		picture := b.picture(s)
		if dir != "" {
			write(t, filepath.Join(dir, s.name+".png"), picture)
		}
		if s.keep && *updateImages {
			write(t, filepath.Join("..", "..", "docs", "images", s.name+".png"), picture)
		}
		if s.keep && len(picture) > maxImage {
			t.Errorf("%s has %d bytes, at most %d are meant to be kept", s.name, len(picture), maxImage)
		}
	}
}

// maxImage keeps the repository light, in bytes.
const maxImage = 150 << 10

func (b *browser) picture(s shot) []byte {
	b.t.Helper()
	b.run(prefer(s.scheme), size(s.width, s.height), chromedp.Navigate(s.url), chromedp.WaitReady(chromedp.CSS("#live")))
	b.until(`document.getElementById("live").dataset.table === undefined || document.documentElement.classList.contains("live")`)
	take := chromedp.CaptureScreenshot()
	if s.full {
		take = chromedp.FullScreenshot(100)
	}
	picture, err := chromedp.Run(b.ctx, take)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(picture) == 0 {
		b.t.Fatalf("%s: no picture", s.name)
	}
	return picture
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

var errDead = errors.New("dial tcp: connection refused")

// sendTraffic says what an ingest would have said in the last minutes.
func sendTraffic(s *Service) {
	for i := range 5 {
		s.traffic.add(contract.Batch{V: 1, Ingest: "ingest-7f9c", Accepted: 29 + i, Refused: map[string]int{"401": 3}}, time.Now().Add(time.Duration(i-4)*time.Minute))
	}
}
