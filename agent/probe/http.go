package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	httpTimeout = 10 * time.Second
	maxHTTPText = 256 << 10
)

// HTTP passes when an address answers with one of the statuses, and with the text. Redirects are answers.
type HTTP struct {
	URL      string
	Statuses [][2]int // first and last of each range
	Text     string   // "" is in every answer
}

// Check implements Probe.
func (h *HTTP) Check(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return Result{Reason: ReasonHTTPFailed, Evidence: "not an address"}
	}
	req.Close = true
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return Result{Reason: ReasonHTTPFailed, Evidence: fmt.Sprintf("%s: %s", req.URL.Host, h.trouble(ctx, err))}
	}
	defer resp.Body.Close()
	right := slices.ContainsFunc(h.Statuses, func(r [2]int) bool { return r[0] <= resp.StatusCode && resp.StatusCode <= r[1] })
	if !right {
		return Result{Reason: ReasonHTTPStatus, Evidence: fmt.Sprintf("%s answered %s", req.URL.Host, resp.Status)}
	}
	if h.Text != "" {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxHTTPText))
		if !bytes.Contains(body, []byte(h.Text)) {
			return Result{Reason: ReasonHTTPText, Evidence: fmt.Sprintf("%s answered without the text %q", req.URL.Host, h.Text)}
		}
	}
	return Result{Saw: "it answered " + resp.Status}
}

func (h *HTTP) trouble(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", httpTimeout)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return dialTrouble(err)
}
