// Package proxytest is an HTTP proxy for tests: it takes CONNECT for any host and leads all of them to one server.
package proxytest

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Proxy is a running proxy.
type Proxy struct {
	URL string // for HTTPS_PROXY

	mu    sync.Mutex
	hosts []string
}

// Hosts are those that CONNECT was asked for, in order.
func (p *Proxy) Hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.hosts...)
}

// New starts a proxy to the server at an address, until the test ends. A user, "name:password", is wanted from whoever
// comes, unless it is "".
func New(t *testing.T, to, user string) *Proxy {
	t.Helper()
	p := &Proxy{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		p.mu.Lock()
		p.hosts = append(p.hosts, r.Host)
		p.mu.Unlock()
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if name, password, _ := r.BasicAuth(); user != "" && name+":"+password != user {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		tunnel(w, to)
	}))
	t.Cleanup(s.Close)
	p.URL = s.URL
	return p
}

// tunnel joins the client with the server until either ends.
func tunnel(w http.ResponseWriter, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		server.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	wg.Wait()
}

// TLS serves what is at an http address over TLS, as "example.com" and all names below it. It returns where, and a file
// for SSL_CERT_FILE.
func TLS(t *testing.T, plain string) (addr, certificates string) {
	t.Helper()
	u, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(u))
	t.Cleanup(s.Close)
	certificates = filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(certificates, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.Listener.Addr().String(), certificates
}
