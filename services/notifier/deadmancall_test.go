package notifier

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

const secretPath = "/ping/very-secret-key"

// watchdog is an outside watchdog that gives one answer.
func watchdog(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s
}

func callURL(t *testing.T, url string) error {
	t.Helper()
	d := NewDeadmanURL(settings.Secret(url))
	if d.limit = 30 * time.Second; strings.HasSuffix(url, "/hangs"+secretPath) {
		d.limit = 2 * time.Second
	}
	t.Cleanup(d.Close)
	err := d.Call(t.Context())
	if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "127.0.0.1") || errors.Unwrap(err) != nil) {
		t.Errorf("the address shows in %q", err)
	}
	return err
}

func TestAnyAnswer2xxIsFine(t *testing.T) {
	for _, code := range []int{200, 201, 204} {
		var got atomic.Pointer[http.Request]
		s := watchdog(t, func(w http.ResponseWriter, r *http.Request) {
			got.Store(r)
			w.WriteHeader(code)
		})
		if err := callURL(t, s.URL+secretPath+"?status=up"); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		if r := got.Load(); r.Method != http.MethodGet || r.URL.RequestURI() != secretPath+"?status=up" {
			t.Errorf("called %s %s", r.Method, r.URL)
		}
	}
}

func TestACallThatFailsSaysWhy(t *testing.T) {
	answers := func(code int) string {
		return watchdog(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }).URL
	}
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	hangs := watchdog(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	drops := watchdog(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, tt := range map[string]struct{ url, want string }{
		"404":         {answers(404), "it answers 404 Not Found"},
		"500":         {answers(500), "it answers 500 Internal Server Error"},
		"refused":     {"http://127.0.0.1:1", "it refuses connections"},
		"no name":     {"http://secret.invalid", "its name cannot be resolved"},
		"certificate": {untrusted.URL, "its certificate is not trusted"},
		"hangs":       {hangs.URL + "/hangs", "it does not answer within 2s"},
		"drops":       {drops.URL, "the connection to it broke"},
		"broken":      {"http://a b", "it is no valid address"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := callURL(t, tt.url+secretPath); err == nil || err.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Int32
	other := watchdog(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	s := watchdog(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusMovedPermanently)
	})
	err := callURL(t, s.URL+secretPath)
	if err == nil || !strings.Contains(err.Error(), "redirects (301)") || followed.Load() != 0 {
		t.Errorf("%v, followed %d times", err, followed.Load())
	}
}

func TestTheEndOfTheServiceEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := watchdog(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	d := NewDeadmanURL(settings.Secret(s.URL))
	defer d.Close()
	if err := d.Call(ctx); err == nil {
		t.Error("no error")
	}
}

func TestTheProxyOfTheEnvironmentIsHonoured(t *testing.T) {
	proxy := NewDeadmanURL("https://example.org").http.Transport.(*http.Transport).Proxy
	if reflect.ValueOf(proxy).Pointer() != reflect.ValueOf(http.ProxyFromEnvironment).Pointer() {
		t.Error("another proxy than that of the environment")
	}
	d := NewDeadmanURL("http://secret.example" + secretPath)
	d.http.Transport.(*http.Transport).Proxy = http.ProxyURL(mustParse(t, "http://127.0.0.1:1"))
	if err := d.Call(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTPS_PROXY") {
		t.Errorf("no proxy: %v", err)
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
