package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

const (
	requestTimeout = 10 * time.Second // for one attempt, from the name look-up to the end of the answer
	maxAnswerBytes = 4 << 10
	maxDetailRunes = 200
)

// SendError says why a heartbeat was not accepted. Its text is stable, so that equal troubles read alike, and free of
// the secret.
type SendError struct {
	Text       string
	Retry      bool          // whether trying again soon may help
	RetryAfter time.Duration // how long the server asks to wait, 0 when it does not say
}

func (e *SendError) Error() string { return e.Text }

// Client delivers heartbeats to one monitor.
type Client struct {
	endpoint  string
	host      string
	secret    Secret
	userAgent string
	http      *http.Client
}

// NewClient makes a client for the monitor at server, an address without a last slash. Proxies come from the usual
// variables of the environment, certificates are verified, and one connection is kept between heartbeats.
func NewClient(server string, secret Secret, version string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 1
	transport.IdleConnTimeout = 2 * time.Minute
	// A dead HTTP/2 connection takes minutes to be noticed; HTTP/1 drops it with the first request that times out.
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	c := &Client{endpoint: server + "/api/heartbeat", host: server, secret: secret, userAgent: "gensyn-agent/" + version}
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		c.host = u.Host
	}
	c.http = &http.Client{
		Transport:     transport,
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close drops the kept connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send delivers one heartbeat. Nil means that the monitor has it for good; otherwise the error is a *SendError, or that
// of ctx when ctx ended first.
func (c *Client) Send(ctx context.Context, h contract.Heartbeat) error {
	body, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c.secret))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return c.unreached(ctx, err)
	}
	return c.judge(resp, answer)
}

// judge turns an answer into nil or a *SendError.
func (c *Client) judge(resp *http.Response, answer []byte) error {
	var said struct {
		OK     bool   `json:"ok"`
		Detail string `json:"detail"`
	}
	// What is no JSON says nothing: the status is enough then.
	_ = json.Unmarshal(answer, &said)
	status := resp.StatusCode
	if status == http.StatusOK && said.OK {
		return nil
	}
	e := &SendError{}
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		e.Retry, e.RetryAfter = true, retryAfter(resp.Header)
	case status >= 500 || status == http.StatusRequestTimeout:
		e.Retry = true
	}
	e.Text = c.clean(c.advice(resp, said.Detail))
	return e
}

// advice says what an answer means and what to do about it.
func (c *Client) advice(resp *http.Response, detail string) string {
	said := fmt.Sprintf("the server answered %d", resp.StatusCode)
	if detail != "" {
		said += " (" + detail + ")"
	}
	switch status := resp.StatusCode; {
	case status >= 300 && status < 400:
		// A Location may be a path alone: it counts from the address that was asked.
		where, err := resp.Location()
		if err != nil {
			return said + ": it redirects to no address, check SERVER_URL"
		}
		address := strings.TrimSuffix(where.String(), "/api/heartbeat")
		return fmt.Sprintf("the server answered with a redirect to %s: set SERVER_URL to that address", address)
	case status == http.StatusOK:
		return fmt.Sprintf("%s answers, but is no monitor: check SERVER_URL", c.host)
	case status == http.StatusUnauthorized:
		return said + ": SHARED_SECRET is not the one of the server"
	case status == http.StatusForbidden:
		return said + ": this token belongs to another node: check NODE_ID and SHARED_SECRET"
	case status == http.StatusBadRequest:
		return said + ": check NODE_ID and META"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return said + ": no monitor there, check SERVER_URL"
	}
	return said
}

// unreached puts the error of a request without an answer into words that do not change from attempt to attempt.
func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &SendError{Text: c.clean(c.trouble(err)), Retry: true}
}

func (c *Client) trouble(err error) string {
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		if name.IsNotFound {
			return fmt.Sprintf("there is no host %s: check SERVER_URL", name.Name)
		}
		return fmt.Sprintf("the name %s cannot be looked up: the name server does not answer well", name.Name)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Sprintf("no answer from %s within %v", c.host, requestTimeout)
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("the certificate of %s is not trusted: %v", c.host, cert.Err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		// The whole text names the port of this end, which differs each time.
		return fmt.Sprintf("no connection to %s: %s: %v", c.host, op.Op, op.Err)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Sprintf("no answer from %s: %v", c.host, err)
}

// clean makes one short line without the secret of what others wrote.
func (c *Client) clean(s string) string {
	if c.secret != "" {
		s = strings.ReplaceAll(s, string(c.secret), c.secret.String())
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxDetailRunes {
		s = string(runes[:maxDetailRunes]) + "…"
	}
	return s
}

// retryAfter reads the header in its form of seconds, the only one that monitors send.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}
