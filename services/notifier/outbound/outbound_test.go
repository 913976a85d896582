package outbound_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// through calls an address, by way of a proxy unless it is "".
func through(t *testing.T, address, proxy string) error {
	t.Helper()
	limit := 20 * time.Second
	if strings.HasSuffix(address, "/hang") {
		limit = 2 * time.Second
	}
	c := outbound.NewClient()
	defer c.CloseIdleConnections()
	if proxy != "" {
		c.Transport.(*http.Transport).Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := outbound.NewPost(ctx, ctx, address, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

func TestWhy(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	const closed = "127.0.0.1:1" // nobody listens there
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	hangs := serve(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then its end can be seen
		<-r.Context().Done()
	})
	drops := serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	plain := strings.TrimPrefix(hangs, "http://")
	for name, tt := range map[string]struct {
		address, proxy string
		cause          outbound.Cause
		detail         string
	}{
		"refused":            {"http://" + closed, "", outbound.Refused, closed},
		"no name":            {"https://telegram.invalid/secret", "", outbound.NoName, "telegram.invalid"},
		"certificate":        {untrusted.URL, "", outbound.Certificate, "signed by unknown authority"},
		"hangs":              {hangs + "/hang", "", outbound.NoAnswer, ""},
		"drops":              {drops, "", outbound.Broken, ""},
		"unroutable":         {"http://255.255.255.255:1", "", outbound.NoRoute, ""},
		"no TLS":             {"https://" + plain, "", outbound.Broken, "no TLS is spoken there"},
		"a proxy refuses":    {"https://telegram.example.com", proxytest.New(t, closed, "user:secret").URL, outbound.ProxyRefuses, "407 Proxy Authentication Required"},
		"wrong password":     {"https://telegram.example.com", "http://user:secre@" + strings.TrimPrefix(proxytest.New(t, closed, "user:secret").URL, "http://"), outbound.ProxyRefuses, "407"},
		"a proxy has no way": {"https://telegram.example.com", proxytest.New(t, closed, "").URL, outbound.ProxyRefuses, "502 Bad Gateway"},
		"no proxy there":     {"https://telegram.example.com", "http://user:secret@" + closed, outbound.ProxyAway, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := through(t, tt.address, tt.proxy)
			if err == nil {
				t.Fatal("no error")
			}
			why := outbound.Why(err)
			if reached := name == "hangs" || name == "drops" || name == "no TLS"; why.Cause.NotSent() == reached {
				t.Errorf("%s: not sent: %v", why.Cause, why.Cause.NotSent())
			}
			if why.Cause != tt.cause || !strings.Contains(why.Detail, tt.detail) || strings.Contains(why.Detail, "secret") {
				t.Errorf("%+v of %v", why, err)
			}
		})
	}
}

func TestAProxyLeadsThere(t *testing.T) {
	fine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer fine.Close()
	addr, _ := proxytest.TLS(t, fine.URL)
	p := proxytest.New(t, addr, "user:secret")
	// The certificate is not known here, so that is as far as it goes; the notifier's own test goes all the way.
	err := through(t, "https://telegram.example.com", "http://user:secret@"+strings.TrimPrefix(p.URL, "http://"))
	if why := outbound.Why(err); why.Cause != outbound.Certificate || len(p.Hosts()) != 1 || p.Hosts()[0] != "telegram.example.com:443" {
		t.Errorf("%+v, asked for %q", why, p.Hosts())
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999": 1 << 31 * time.Second, "99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := outbound.RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
