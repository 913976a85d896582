package web

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// seenRequest is what the browser said of where a request comes from.
type seenRequest struct{ method, path, site, origin, cookie string }

// A real browser, over HTTPS or (as in many a local network) plain HTTP, where it says less of where a request comes
// from: forms of the monitor work, forms of other sites do nothing.
func TestFormsInARealBrowser(t *testing.T) {
	a := newActed(t)
	var mu sync.Mutex
	var seen []seenRequest
	monitor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			mu.Lock()
			seen = append(seen, seenRequest{r.Method, r.URL.Path, r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin"), r.Header.Get("Cookie")})
			mu.Unlock()
		}
		a.s.Handler().ServeHTTP(w, r)
	}))
	defer monitor.Close()
	_, port, err := net.SplitHostPort(monitor.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>evil</title><form method="post" action="http://monitor.test:%s/do/delete">
			<input name="node_id" value="rig-1"><button id="go">Win</button></form>`, port)
	}))
	defer evil.Close()
	_, evilPort, err := net.SplitHostPort(evil.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"))
	// Names are not this machine to the browser, so nothing of it is trusted as a secure page would be.
	b.run(chromedp.Navigate("http://monitor.test:" + port + "/tokens"))
	b.until(`location.pathname === "/sign-in"`)
	b.run(chromedp.SendKeys(`[name=username]`, testUser), chromedp.SendKeys(`[name=password]`, testPassword),
		chromedp.Click(`main form button`))
	b.until(`location.pathname === "/tokens" && document.querySelector("[name=note]")`)
	b.run(chromedp.SendKeys(`main [name=node_id]`, "rig-9"), chromedp.Click(`main form[action$="do/token"] button`))
	b.until(`document.querySelector("#token")`)
	made := eval[string](b, `document.querySelector("#token").textContent`)
	all, err := a.store.Tokens(t.Context())
	if err != nil || len(all) != 1 || all[0].NodeID != "rig-9" || !strings.HasPrefix(made, "gmt_") {
		t.Errorf("%q, %+v, %v", made, all, err)
	}
	mu.Lock()
	ours := seen
	seen = nil
	mu.Unlock()
	if len(ours) != 2 || ours[1].site != "" || ours[1].origin != "http://monitor.test:"+port {
		t.Errorf("the browser says %+v; without Origin no form would work here", ours)
	}
	b.run(chromedp.Navigate("http://evil.test:"+evilPort+"/"), chromedp.Click("#go"))
	b.until(`location.host.startsWith("monitor.test")`)
	if text := eval[string](b, `document.body.textContent`); !strings.Contains(text, "another site") {
		t.Errorf("the answer to another site's form: %s", text)
	}
	mu.Lock()
	theirs := seen
	mu.Unlock()
	if len(theirs) != 1 || theirs[0].cookie != "" || theirs[0].origin != "http://evil.test:"+evilPort {
		t.Errorf("another site's form: %+v", theirs)
	}
	if a.node("rig-1") == nil {
		t.Error("another site deleted a node")
	}
}
