package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

func TestLogin(t *testing.T) {
	login := func(o *Options) { o.Username, o.Password = "Ann", "pässword:1" }
	s := newService(t, newFakeStore(sample()...), login)
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, path := range []string{"/", "/api/events", "/api/nodes", "/nothing", "/api/nodes?limit=x"} {
		s := newService(t, newFakeStore(sample()...), login) // failed attempts are limited
		for _, auth := range []string{"", "Basic", "Bearer Ann", basic("Ann:"), basic("Ann:wrong"), basic("ann:pässword:1"), basic(":")} {
			w := do(s, "GET", path, "Authorization", auth)
			wantDetail(t, w, http.StatusUnauthorized, "Unauthorized")
			if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
				t.Errorf("WWW-Authenticate %q", got)
			}
		}
	}
	wantStatus(t, do(s, "GET", "/", "Authorization", basic("Ann:pässword:1")), http.StatusOK)
	wantStatus(t, do(s, "HEAD", "/"), http.StatusUnauthorized)
}

func TestHalfALoginStopsTheStart(t *testing.T) {
	for _, tt := range []struct{ username, password, want string }{
		{"ann", "", "WEB_PASSWORD= is not allowed: it must be set, since WEB_USERNAME is"},
		{"", "secret", "WEB_USERNAME= is not allowed: it must be set, since WEB_PASSWORD is"},
	} {
		_, err := New(Options{
			Store: newFakeStore(), Username: settings.Secret(tt.username), Password: settings.Secret(tt.password),
		})
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
		c := Config{Username: settings.Secret(tt.username), Password: settings.Secret(tt.password)}
		if err := c.Check(); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for address, ok := range map[string]bool{
		"": true, "https://nodes.example.org": true, "http://10.0.0.1:8080/monitor/": true,
		"nodes.example.org": false, "ftp://x": false, "javascript:alert(1)": false, "https://": false, "https://user:pw@host": false, "://": false,
	} {
		if err := (Config{PublicURL: address}).Check(); (err == nil) != ok {
			t.Errorf("PUBLIC_URL=%s: %v", address, err)
		}
	}
}

func TestConfigFromTheEnvironment(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://u:hunter2@db/x")
	t.Setenv("WEB_USERNAME", "ann")
	t.Setenv("WEB_PASSWORD", "hunter3")
	var c ProcessConfig
	if err := settings.Load(&c); err != nil {
		t.Fatal(err)
	}
	if c.ListenAddr != ":8080" || c.MetricsAddr != "127.0.0.1:9104" || c.SiteTitle != "Gensyn Nodes" || c.DatabaseURL.Reveal() == "" {
		t.Errorf("got %+v", c)
	}
	t.Setenv("WEB_PASSWORD", "")
	if err := settings.Load(&ProcessConfig{}); err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("half a login: %v", err)
	}
}

func TestMetricsNameRoutesNotPaths(t *testing.T) {
	r := prometheus.NewRegistry()
	s := newService(t, newFakeStore(sample()...), func(o *Options) { o.Metrics = r })
	do(s, "GET", "/")
	do(s, "GET", "/made/up")
	do(s, "GET", "/api/nodes?limit=x")
	do(s, "DELETE", "/api/nodes/secret-name")
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "gensyn_web_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				key += l.GetValue() + " "
			}
			got[strings.TrimSpace(key)] = m.GetCounter().GetValue()
		}
	}
	for _, key := range []string{"page 200", "other 404", "nodes 400", "delete 404"} {
		if got[key] != 1 {
			t.Errorf("%s: %v in %v", key, got[key], got)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v", got)
	}
}
