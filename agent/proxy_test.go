package agent

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

func TestProxies(t *testing.T) {
	c, err := load(with(map[string]string{
		"HTTPS_PROXY": "https://s.proxy", "HTTP_PROXY": "h.proxy:3128",
		"NO_PROXY": "one.example, .two.example *.three.example,10.0.0.0/8 192.0.2.7,[2001:db8::1],port.example:8443",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://a.example": "https://s.proxy", "http://a.example": "http://h.proxy:3128",
		"https://localhost:1": "", "http://127.0.0.9": "", "http://[::1]:80": "",
		"https://one.example": "", "https://ONE.example:8443": "", "https://sub.one.example": "", "https://someone.example": "https://s.proxy",
		"https://two.example": "", "https://a.two.example": "", "https://atwo.example": "https://s.proxy",
		"https://a.three.example": "", "https://10.1.2.3": "", "https://11.1.2.3": "https://s.proxy",
		"https://192.0.2.7": "", "https://192.0.2.70": "https://s.proxy", "https://[2001:db8::1]:443": "",
		"https://port.example:8443": "", "https://port.example": "https://s.proxy",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Proxy.For(&http.Request{URL: u})
		if err != nil || got == nil && want != "" || got != nil && got.String() != want {
			t.Errorf("%s: %v, %v; want %q", address, got, err, want)
		}
	}
	all, err := load(with(map[string]string{"HTTPS_PROXY": "p", "NO_PROXY": "*"}))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := all.Proxy.For(&http.Request{URL: &url.URL{Scheme: "https", Host: "a.example"}}); got != nil {
		t.Errorf("%v with NO_PROXY=*", got)
	}
}

// TestHeartbeatsGoThroughAProxy that is asked for a host which this machine does not know.
func TestHeartbeatsGoThroughAProxy(t *testing.T) {
	proxy := newFakeServer(t, says(200, `{"ok":true}`))
	c, err := load(with(map[string]string{"HTTP_PROXY": proxy.URL, "SERVER_URL": "http://monitor.invalid"}))
	if err != nil {
		t.Fatal(err)
	}
	agent := NewClient(c.Servers[0], c.Secret, "1", NewTransport(c.Proxy, nil))
	defer agent.Close()
	if err := agent.Send(t.Context(), contract.Heartbeat{NodeID: "n"}); err != nil {
		t.Fatal(err)
	}
	if got := proxy.got(); len(got) != 1 || got[0].uri != "http://monitor.invalid/api/heartbeat" {
		t.Errorf("%+v", got)
	}
}
