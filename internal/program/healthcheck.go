package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	healthLimit  = 4 * time.Second // /readyz answers within 2 s
	healthLength = 4 << 10         // bytes of the answer that are shown
)

// healthcheck is the command that asks the program that runs with the same settings whether it is ready. Images have
// no shell and no curl: it is what their HEALTHCHECK runs.
func (p Program) healthcheck() Command {
	return Command{
		Name:    "healthcheck",
		Summary: "asks the " + p.Name + " that runs with these settings whether it is ready; succeeds when it is",
		Config:  p.Config,
		Run:     func(ctx context.Context, _ io.Writer) error { return askReady(ctx, p.Health()) },
	}
}

// askReady succeeds when /readyz at addr does. Else its error is what /readyz says, on one line.
func askReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(addr)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	// The way to oneself leads through no proxy, whatever the environment says.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("healthcheck: no answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, healthLength))
	if err != nil {
		return fmt.Errorf("healthcheck: %s: %w", resp.Status, err)
	}
	lines := strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' })
	return errors.New("not ready: " + cmp.Or(strings.Join(lines, "; "), resp.Status))
}

// reachable makes of an address that is listened at one that can be connected to.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
