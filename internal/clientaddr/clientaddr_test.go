package clientaddr

import (
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestPeer(t *testing.T) {
	var proxies Proxies
	if err := proxies.UnmarshalText([]byte("10.0.0.0/8, 2001:db8::1")); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"direct", "192.0.2.1:5", nil, "192.0.2.1"},
		{"direct, with a header of its own", "192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"},
		{"through a proxy", "10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"through an IPv6 proxy", "[2001:db8::1]:5", []string{"2001:db8:1::7"}, "2001:db8:1::7"},
		{"the left end is the client's own invention", "10.0.0.1:5", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"through two proxies", "10.0.0.1:5", []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"through two proxies, two headers", "10.0.0.1:5", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"nothing but proxies", "10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"proxy without a header", "10.0.0.1:5", nil, "10.0.0.1"},
		{"nonsense ends the trust", "10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:5", []string{"198.51.100.1:4000"}, "198.51.100.1"},
		{"in brackets", "10.0.0.1:5", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"mapped", "[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"unreadable", "@", []string{"198.51.100.1"}, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			r.RemoteAddr = tt.remote
			for _, f := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			r.Header.Set("X-Real-IP", "203.0.113.1")
			if got := proxies.Of(r).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestOriginOfIPv6IsItsNetwork(t *testing.T) {
	a, b := Origin(netip.MustParseAddr("2001:db8::1")), Origin(netip.MustParseAddr("2001:db8::ffff:1"))
	c := Origin(netip.MustParseAddr("2001:db8:0:1::1"))
	if a != b || a == c {
		t.Errorf("%s, %s, %s", a, b, c)
	}
}

func TestHTTPSIsBelievedOfTrustedProxiesAlone(t *testing.T) {
	var proxies Proxies
	if err := proxies.UnmarshalText([]byte("10.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		remote, proto string
		tls, want     bool
	}{
		{"10.0.0.1:5", "https", false, true}, {"10.0.0.1:5", "HTTPS", false, true}, {"10.0.0.1:5", "http", false, false},
		{"10.0.0.1:5", "", false, false}, {"192.0.2.1:5", "https", false, false}, {"192.0.2.1:5", "", true, true},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if r.RemoteAddr = tt.remote; tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if tt.proto != "" {
			r.Header.Set("X-Forwarded-Proto", tt.proto)
		}
		if got := proxies.HTTPS(r); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
