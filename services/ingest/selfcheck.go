package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// selfCheckLimit is how long the listener has for its answer.
const selfCheckLimit = time.Second

var errNoAddress = errors.New("the address to check is not set")

// selfCheck asks the listener for an answer the way agents reach it: over TCP, each time with a new connection.
type selfCheck struct {
	client *http.Client

	mu   sync.Mutex
	urls []string // any of them
}

func newSelfCheck() *selfCheck {
	return &selfCheck{client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       selfCheckLimit,
	}}
}

func (c *selfCheck) setAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("own address: %w", err)
	}
	var urls []string
	for _, h := range reachable(host) {
		urls = append(urls, "http://"+net.JoinHostPort(h, port)+"/healthz")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urls = urls
	return nil
}

// reachable turns an address to bind to into addresses to connect to.
func reachable(host string) []string {
	a, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && a.IsUnspecified() && a.Is6():
		return []string{"127.0.0.1", "::1"}
	case err == nil && a.IsUnspecified():
		return []string{"127.0.0.1"}
	}
	return []string{host}
}

func (c *selfCheck) run(ctx context.Context) error {
	c.mu.Lock()
	urls := c.urls
	c.mu.Unlock()
	err := errNoAddress
	for _, u := range urls {
		if err = c.get(ctx, u); err == nil {
			return nil
		}
	}
	return err
}

func (c *selfCheck) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("check own address: %w", err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("check own address: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("check own address: GET %s answered %s", url, resp.Status)
	}
	return nil
}
