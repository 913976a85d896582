package notifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
)

// callLimit bounds one call of the deadman address.
const callLimit = 10 * time.Second

// DeadmanURL calls an outside watchdog with GET, through HTTPS_PROXY where that is set. Any 2xx is fine. Redirects are
// not followed: the address is a secret, and would be carried elsewhere.
type DeadmanURL struct {
	url   settings.Secret
	http  *http.Client
	limit time.Duration
}

// NewDeadmanURL makes a caller of an address. It asks nothing yet.
func NewDeadmanURL(url settings.Secret) *DeadmanURL {
	return &DeadmanURL{url: url, limit: callLimit, http: outbound.NewClient()}
}

// Close drops idle connections.
func (d *DeadmanURL) Close() { d.http.CloseIdleConnections() }

// Call implements Caller. It takes 10 s at most.
func (d *DeadmanURL) Call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.Reveal(), http.NoBody)
	if err != nil {
		return errors.New("it is no valid address")
	}
	req.Header.Set("User-Agent", "gensyn-monitor")
	resp, err := d.http.Do(req)
	if err != nil {
		return d.unreached(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("it redirects (%d): set DEADMAN_URL to where it leads", code)
	default:
		return fmt.Errorf("it answers %d %s", code, http.StatusText(code))
	}
}

// unreached words an error of the transport. Nothing of its text is kept: it may hold the address, which is a secret.
func (d *DeadmanURL) unreached(err error) error {
	switch outbound.Why(err).Cause {
	case outbound.ProxyAway:
		return errors.New("the proxy of HTTPS_PROXY or HTTP_PROXY cannot be reached")
	case outbound.ProxyRefuses:
		return errors.New("the proxy of HTTPS_PROXY refuses")
	case outbound.NoAnswer:
		return fmt.Errorf("it does not answer within %v", d.limit)
	case outbound.NoName:
		return errors.New("its name cannot be resolved")
	case outbound.Certificate:
		return errors.New("its certificate is not trusted")
	case outbound.Refused:
		return errors.New("it refuses connections")
	case outbound.NoRoute, outbound.NoConnection:
		return errors.New("there is no way to it")
	default:
		return errors.New("the connection to it broke")
	}
}
