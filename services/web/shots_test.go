package web

import (
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

var updateImages = flag.Bool("update-images", false, "write the screenshots of docs/images anew")

// shot is a page as somebody sees it.
type shot struct {
	name, url, scheme string
	width, height     int64
	full              bool // the whole page, not what fits
	acting            bool // signed in
	keep              bool // it is one of docs/images
}

// TestBrowserScreenshots renders every page in both themes and sizes. With -update-images it writes those of the README,
// and with SCREENSHOTS=directory all of them, to look at.
func TestBrowserScreenshots(t *testing.T) {
	t.Parallel()
	service, address := serveService(t, busy())
	sendTraffic(service)
	empty := serve(t, newFakeStore(), func(o *Options) { o.AgentHint = true })
	dead := newFakeStore()
	dead.err = errDead
	broken := serve(t, dead)
	a := newActed(t, realTime)
	running(t, a.s)
	private := httptest.NewServer(a.s.Handler())
	t.Cleanup(func() { private.CloseClientConnections(); private.Close() })
	b := newBrowser(t)
	dir := os.Getenv("SCREENSHOTS")
	for _, s := range []shot{
		{"nodes", address + "/?lang=en", "light", 1280, 800, false, false, true},
		{"nodes-ru-dark", address + "/?lang=ru", "dark", 1280, 800, false, false, true},
		{"nodes-phone", address + "/?lang=en", "light", 390, 844, false, false, true},
		{"node", address + "/nodes/gpu-03-gensyn?lang=en", "light", 1280, 1000, false, false, true},
		{"node-phone-ru-dark", address + "/nodes/gpu-03-gensyn?lang=ru&range=7d", "dark", 390, 2000, false, false, false},
		{"node-lost", address + "/nodes/gpu-11-gensyn?lang=en", "dark", 1280, 800, true, false, false},
		{"incidents", address + "/incidents?lang=en", "light", 1280, 800, false, false, true},
		{"incidents-phone-ru", address + "/incidents?lang=ru", "light", 390, 844, false, false, false},
		{"monitor", address + "/monitor?lang=en", "light", 1280, 1050, false, false, true},
		{"monitor-phone-ru-dark", address + "/monitor?lang=ru", "dark", 390, 844, true, false, false},
		{"tablet", address + "/?lang=en", "light", 820, 1100, false, false, false},
		{"empty", empty + "/?lang=en", "light", 1280, 800, false, false, false},
		{"empty-phone-ru-dark", empty + "/?lang=ru", "dark", 360, 740, false, false, false},
		{"broken", broken + "/?lang=en", "light", 1280, 800, false, false, false},
		{"nothing-found", address + "/?q=nothing&lang=en", "light", 1280, 800, false, false, false},
		{"sign-in", private.URL + "/?lang=en", "light", 1280, 800, false, false, false},
		{"acting", private.URL + "/nodes/rig-1?lang=en", "light", 1280, 900, true, true, false},
		{"acting-phone-ru-dark", private.URL + "/nodes/rig-1?lang=ru", "dark", 390, 844, true, true, false},
		{"tokens", private.URL + "/tokens?lang=en", "light", 1280, 800, false, true, false},
		{"audit", private.URL + "/audit?lang=en", "dark", 1280, 800, false, true, false},
		{"gone", address + "/nodes/nobody?lang=ru", "light", 1280, 800, false, false, false},
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
	headers := network.Headers{}
	if s.acting {
		headers["Authorization"] = basic(testUser, testPassword)
	}
	b.run(call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers}))
	b.run(prefer(s.scheme), size(s.width, s.height), chromedp.Navigate(s.url), chromedp.WaitReady(chromedp.CSS("main")))
	b.until(`document.getElementById("live")?.dataset.table === undefined || document.documentElement.classList.contains("live")`)
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

// sendTraffic says what an ingest would have said in the last minutes, and what all processes say.
func sendTraffic(s *Service) {
	for i, service := range []string{"ingest", "evaluator", "notifier", "web"} {
		s.Process(fmt.Appendf(nil, `{"v":1,"service":%q,"id":"%s-%d","version":"dev","started":%d}`, service, service, i, time.Now().Add(-time.Duration(i+1)*37*time.Hour).Unix()))
	}
	for i := range 5 {
		s.traffic.add(contract.Process{ID: "ingest-7f9c", Answered: contract.Answered{Accepted: int64(30 * i), Refused: map[string]int64{"401": int64(3 * i)}}},
			time.Now().Add(time.Duration(i-4)*time.Minute))
	}
}
