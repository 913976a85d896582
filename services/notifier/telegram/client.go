// Package telegram speaks Telegram's Bot API (https://core.telegram.org/bots/api): a handful of its methods.
//
// What matters here is what a failed call means: whether the message may have been accepted, whether waiting can help,
// and what a person can do about it; all of that is in Error.
package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
)

// DefaultURL is the server that Telegram itself runs.
const DefaultURL = "https://api.telegram.org"

// DefaultTimeout bounds one call. Telegram answers within a second when it is well.
const DefaultTimeout = 30 * time.Second

const maxAnswerBytes = 1 << 20

// Options are the settings of a client.
type Options struct {
	URL     string          // "" for DefaultURL
	Token   settings.Secret // of the bot; it stands in every request's path, and nowhere else
	Timeout time.Duration   // of one call; 0 for DefaultTimeout
	HTTP    *http.Client    // nil for one of its own
	Log     zerolog.Logger
}

// Client calls Telegram as one bot. It is safe for concurrent use. Every error of its methods is an *Error.
type Client struct {
	url     string
	token   settings.Secret
	timeout time.Duration
	http    *http.Client
	log     zerolog.Logger

	mu    sync.Mutex
	moved map[string]int64 // groups that became supergroups: the old id to the new one
}

// New makes a client. It asks nothing of Telegram yet, so it works while Telegram is away.
func New(o Options) *Client {
	c := &Client{
		url: strings.TrimRight(o.URL, "/"), token: o.Token, timeout: o.Timeout, log: o.Log,
		moved: make(map[string]int64),
	}
	if c.url == "" {
		c.url = DefaultURL
	}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if o.HTTP == nil {
		o.HTTP = outbound.NewClient()
	}
	// A redirect would carry the token elsewhere, and turn the POST into a GET.
	c.http = outbound.WithoutRedirects(o.HTTP)
	return c
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type answer struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int   `json:"retry_after"` // seconds
		MigrateTo  int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

// call makes one call within limit and returns the result as it came. chat is what its errors say it is about, "" for
// none. The request does not leave once ctx is over.
func (c *Client) call(ctx context.Context, method string, params any, chat string, limit time.Duration) (json.RawMessage, *Error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, refusal(Malformed, "encode the message: "+err.Error())
	}
	cctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := outbound.NewPost(cctx, ctx, c.url+"/bot"+c.token.Reveal()+"/"+method, body)
	if err != nil {
		return nil, refusal(AddressMalformed)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transport(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, transport(err)
	}
	return c.read(resp, data, chat)
}

// read understands an answer. Only the status and "ok" decide whether the call was accepted.
func (c *Client) read(resp *http.Response, data []byte, chat string) (json.RawMessage, *Error) {
	var a answer
	err := json.Unmarshal(data, &a)
	if err == nil && a.OK && resp.StatusCode == http.StatusOK {
		return a.Result, nil
	}
	if err != nil || a.Code == 0 {
		e := foreign(resp, time.Now())
		e.open = e.open || a.OK
		return nil, e
	}
	if t := c.token.Reveal(); t != "" { // what answers need not be Telegram
		a.Description = strings.ReplaceAll(a.Description, t, c.token.String())
	}
	return nil, refused(a, chat)
}

// ask makes a call whose result must be understood.
func ask[T any](ctx context.Context, c *Client, method string, params any, chat string, limit time.Duration) (T, error) {
	var result T
	raw, failure := c.call(ctx, method, params, chat, limit)
	if failure != nil {
		return result, failure
	}
	if json.Unmarshal(raw, &result) != nil {
		return result, refusal(NotTelegram, http.StatusOK, fmt.Sprintf("with an unknown form of %s", method))
	}
	return result, nil
}
