package agent

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Proxies say how servers are reached. The standard library looks at the environment alone, and an agent's settings
// lie in a file.
type Proxies struct {
	http, https *url.URL // nil for none
	except      []string // of NO_PROXY
}

func (r *reader) proxies() Proxies {
	return Proxies{
		http: r.proxy("HTTP_PROXY"), https: r.proxy("HTTPS_PROXY"),
		except: strings.FieldsFunc(strings.ToLower(r.set["NO_PROXY"]), func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }),
	}
}

func (r *reader) proxy(name string) *url.URL {
	v := strings.TrimSpace(r.set[name])
	if v == "" {
		return nil
	}
	if !strings.Contains(v, "://") {
		v = "http://" + v
	}
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		// It may hold a password, so the value is not shown.
		r.fail("%s is not allowed: it must be an address such as http://proxy.example.org:3128", name)
	}
	return u
}

// For is the proxy for a request, nil for none. It fits http.Transport.Proxy.
func (p Proxies) For(r *http.Request) (*url.URL, error) {
	proxy := p.http
	if r.URL.Scheme == "https" {
		proxy = p.https
	}
	if proxy == nil || p.excepted(strings.ToLower(r.URL.Hostname()), r.URL.Port()) {
		return nil, nil
	}
	return proxy, nil
}

// excepted reports whether a host is reached without a proxy: this machine always is.
func (p Proxies) excepted(host, port string) bool {
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil
	if host == "localhost" || isAddr && addr.Unmap().IsLoopback() {
		return true
	}
	for _, e := range p.except {
		if e == "*" {
			return true
		}
		if network, err := netip.ParsePrefix(e); err == nil {
			if isAddr && network.Contains(addr.Unmap()) {
				return true
			}
			continue
		}
		if h, only, err := net.SplitHostPort(e); err == nil {
			if only != port {
				continue
			}
			e = h
		}
		if named, err := netip.ParseAddr(strings.Trim(e, "[]")); err == nil {
			if isAddr && named == addr {
				return true
			}
			continue
		}
		e = strings.TrimPrefix(e, "*")
		if host == strings.TrimPrefix(e, ".") || strings.HasSuffix(host, "."+strings.TrimPrefix(e, ".")) {
			return true
		}
	}
	return false
}
