// Package webhook posts notifications to an address of the user's, as signed JSON. docs/webhook.md says how to receive
// them.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
)

// Chat is the name under which its deliveries are kept.
const Chat = "webhook"

// DefaultTimeout bounds one post.
const DefaultTimeout = 15 * time.Second

// mostPatience is the longest that a receiver can make us wait by Retry-After: one that says a year must not silence
// the monitor.
const mostPatience = time.Hour

// Headers of a post.
const (
	HeaderSignature = "X-Gensyn-Signature" // "sha256=" and the hex of Sign; absent without a secret
	HeaderTimestamp = "X-Gensyn-Timestamp" // Unix seconds of this attempt
	HeaderKey       = "Idempotency-Key"    // the notification's id
)

// Options are the settings of a sender.
type Options struct {
	URL     settings.Secret // it may hold a token
	Secret  settings.Secret // "" for no signature
	Timeout time.Duration   // of one post; 0 for DefaultTimeout
	HTTP    *http.Client    // nil for one of its own; it must follow no redirects
	Now     func() time.Time
}

// Sender posts what Render made. It is safe for concurrent use.
type Sender struct {
	o    Options
	http *http.Client
}

// New makes a sender. It asks nothing yet.
func New(o Options) *Sender {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = outbound.NewClient()
	}
	return &Sender{o: o, http: o.HTTP}
}

// Close drops idle connections.
func (s *Sender) Close() { s.http.CloseIdleConnections() }

// Send posts a body that Render made; any answer 2xx accepts it. There is one receiver, and nothing to answer to, so
// that the chat and the message it answers are not looked at, and the message's id is 0. The body does not leave after
// ctx is over. Every error is an *Error.
func (s *Sender) Send(ctx context.Context, _, body string, _ int64) (int64, error) {
	pctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	req, err := outbound.NewPost(pctx, ctx, s.o.URL.Reveal(), []byte(body))
	if err != nil {
		e := refusal(malformed)
		e.notSent = true
		return 0, e
	}
	// A connection that was kept may be dead: the post would be made twice, or fail for no reason.
	req.Close = true
	req.GetBody = nil
	at := strconv.FormatInt(s.o.Now().Unix(), 10)
	req.Header.Set(HeaderTimestamp, at)
	req.Header.Set(HeaderKey, key(body))
	if s.o.Secret != "" {
		req.Header.Set(HeaderSignature, "sha256="+Sign(s.o.Secret, at, []byte(body)))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, unreached(err, s.o.Timeout)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // nothing is expected, yet a server may want to be heard
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return 0, nil
	}
	return 0, answered(resp, s.o.Now())
}

// Sign is the hex of HMAC-SHA256 over the timestamp, a dot and the body.
func Sign(secret settings.Secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = fmt.Fprintf(mac, "%s.%s", timestamp, body)
	return hex.EncodeToString(mac.Sum(nil))
}

// key is the id of a notification, that of its content when it has none.
func key(body string) string {
	var n struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(body), &n) == nil && n.ID != "" {
		return n.ID
	}
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:16])
}
