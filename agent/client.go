package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	Status     int           // of the answer, 0 when there was none
	Retry      bool          // whether trying again soon may help
	RetryAfter time.Duration // how long the server asks to wait, 0 when it does not say
	monitor    bool          // whether it is the answer of a monitor
}

func (e *SendError) Error() string { return e.Text }

// elsewhere reports whether another address may take what this one did not: it is not a monitor's word about the
// heartbeat itself. What stands before a monitor, such as a firewall, refuses with the same statuses.
func (e *SendError) elsewhere() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return !e.monitor
	}
	return true
}

// Client delivers heartbeats to one monitor.
type Client struct {
	endpoint  string
	host      string
	secret    Secret
	userAgent string
	http      *http.Client
	now       func() time.Time
	offset    *time.Duration // of the server's clock, nil while unknown
}

// NewClient makes a client for the monitor at server, an address without a last slash.
func NewClient(server string, secret Secret, version string, transport *http.Transport) *Client {
	c := &Client{
		endpoint: server + "/api/heartbeat", host: server, secret: secret,
		userAgent: "gensyn-agent/" + version, now: time.Now,
	}
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
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	// The monitor escapes what it shows; escaped here, evidence could outgrow what it takes.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(h); err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	return c.post(ctx, bytes.TrimRight(body.Bytes(), "\n"), c.judge)
}

// Knock asks whether the monitor would take heartbeats, without sending one: a heartbeat without a node_id is refused
// only after its token was accepted. Nil means that it would; otherwise the error is one of Send.
func (c *Client) Knock(ctx context.Context) error {
	return c.post(ctx, []byte(`{"node_id":""}`), func(resp *http.Response, answer []byte) error {
		if resp.StatusCode == http.StatusBadRequest && detail(answer) == "node_id required" {
			return nil
		}
		if err := c.judge(resp, answer); err != nil {
			return err
		}
		return &SendError{
			Text:   c.host + " takes what is no heartbeat, so it is no monitor: check SERVER_URL",
			Status: resp.StatusCode,
		}
	})
}

// post sends a body to the monitor's address for heartbeats, and has the answer judged.
func (c *Client) post(ctx context.Context, body []byte, judge func(*http.Response, []byte) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c.secret))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	begun := c.now()
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	c.compare(resp.Header.Get("Date"), begun, c.now())
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return c.unreached(ctx, err)
	}
	return judge(resp, answer)
}

// compare notes how far the server's clock is ahead of this machine's: its Date is in whole seconds, and of some moment
// between the request and the answer.
func (c *Client) compare(date string, begun, ended time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	middle := begun.Add(ended.Sub(begun) / 2)
	offset := at.Add(time.Second / 2).Sub(middle).Round(100 * time.Millisecond)
	c.offset = &offset
}

// Offset is how far the server's clock was ahead of this machine's at the last answer, to about a second.
func (c *Client) Offset() (time.Duration, bool) {
	if c.offset == nil {
		return 0, false
	}
	return *c.offset, true
}

// detail is what an answer says beside its status. What is no JSON says nothing: the status is enough then.
func detail(answer []byte) string {
	var said struct {
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(answer, &said)
	return said.Detail
}

// judge turns an answer into nil or a *SendError.
func (c *Client) judge(resp *http.Response, answer []byte) error {
	var said struct {
		OK bool `json:"ok"`
	}
	_ = json.Unmarshal(answer, &said)
	status := resp.StatusCode
	if status == http.StatusOK && said.OK {
		return nil
	}
	e := &SendError{Status: status, monitor: detail(answer) != ""}
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		e.Retry, e.RetryAfter = true, retryAfter(resp.Header)
	case status >= 500 || status == http.StatusRequestTimeout:
		e.Retry = true
	}
	e.Text = c.clean(c.advice(resp, detail(answer), string(answer)))
	return e
}

// advice says what an answer means and what to do about it.
func (c *Client) advice(resp *http.Response, detail, answer string) string {
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
	case status == http.StatusBadRequest && strings.Contains(answer, "HTTP request to an HTTPS server"):
		return said + ": SERVER_URL must begin with https://"
	case status == http.StatusProxyAuthRequired:
		return said + ": the proxy wants a name and a password, as in HTTPS_PROXY=http://user:password@host:port"
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
		return fmt.Sprintf("the certificate of %s is not trusted: %v%s", c.host, cert.Err, mend(cert.Err))
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Sprintf("%s does not speak TLS: SERVER_URL must begin with http://", c.host)
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

// mend says what helps against a certificate that is not trusted.
func mend(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ": set CA_FILE to the certificate of its authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return ": set SERVER_URL to a name that the certificate has"
	}
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		return ": renew it, or set this machine's clock"
	}
	return ""
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
