package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"
)

// NewTransport makes what requests travel by. Certificates are verified, and one connection is kept between heartbeats.
// roots are the authorities to trust, nil for those of the system.
func NewTransport(proxy Proxies, roots *x509.CertPool) *http.Transport {
	dialer := net.Dialer{Timeout: requestTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:               proxy.For,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: requestTimeout,
		MaxIdleConns:        1,
		IdleConnTimeout:     2 * time.Minute,
		ReadBufferSize:      2 << 10,
		WriteBufferSize:     2 << 10,
		Protocols:           new(http.Protocols),
	}
	// A dead HTTP/2 connection takes minutes to be noticed; HTTP/1 drops it with the first request that times out.
	t.Protocols.SetHTTP1(true)
	if roots != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return t
}

// roots are the system's authorities and those of a file. The error names CA_FILE.
func roots(file string, read func(string) ([]byte, error)) (*x509.CertPool, error) {
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("CA_FILE: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("CA_FILE=%q is not allowed: it must be a file with certificates (PEM)", file)
	}
	return pool, nil
}
