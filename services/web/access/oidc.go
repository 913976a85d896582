package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

var (
	// ErrDenied means that the provider, or the list of who may, does not let somebody in.
	ErrDenied = errors.New("may not sign in")
	// ErrStranger means that an answer belongs to no question of this browser, or to one that was answered.
	ErrStranger = errors.New("the answer does not belong to a question of this browser")
)

// providerLimit bounds each request to the provider.
const providerLimit = 10 * time.Second

// Provider asks an OpenID provider who somebody is. It is looked up when it is first needed, so that the page comes up
// without it.
type Provider struct {
	OIDC
	redirect string // where it sends people back
	client   *http.Client

	looking singleflight.Group
	mu      sync.Mutex
	found   *oidc.Provider
}

// NewProvider makes one that sends people back to the address.
func NewProvider(o OIDC, redirect string) *Provider {
	return &Provider{OIDC: o, redirect: redirect, client: &http.Client{Timeout: providerLimit}}
}

// Question is what the browser keeps while its owner is at the provider.
type Question struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Next     string `json:"t"` // where to go afterwards
}

// Encode makes it a cookie's value.
func (q Question) Encode() string {
	data, _ := json.Marshal(q) // texts can always be encoded
	return base64.RawURLEncoding.EncodeToString(data)
}

// DecodeQuestion reads a cookie's value.
func DecodeQuestion(text string) (q Question, err error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &q)
	}
	if err != nil || q.State == "" || q.Nonce == "" || q.Verifier == "" {
		return Question{}, ErrStranger
	}
	return q, nil
}

// Ask returns where the browser is to go, and what it is to keep.
func (p *Provider) Ask(ctx context.Context, next string) (address string, q Question, err error) {
	c, _, err := p.config(ctx)
	if err != nil {
		return "", q, err
	}
	q = Question{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next}
	return c.AuthCodeURL(q.State, oidc.Nonce(q.Nonce), oauth2.S256ChallengeOption(q.Verifier)), q, nil
}

// Answered reads what the provider sent the browser back with, and returns whose e-mail address it is.
func (p *Provider) Answered(ctx context.Context, q Question, answer url.Values) (email string, err error) {
	if !Same(answer.Get("state"), settings.Secret(q.State)) {
		return "", ErrStranger
	}
	if code := answer.Get("error"); code != "" {
		return "", fmt.Errorf("%w: the provider says %q", ErrDenied, code)
	}
	c, provider, err := p.config(ctx)
	if err != nil {
		return "", err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := c.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(q.Verifier))
	if err != nil {
		return "", fmt.Errorf("exchange the code: %w", hushed(err))
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: p.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("verify the identity: %w", err)
	}
	if !Same(id.Nonce, settings.Secret(q.Nonce)) {
		return "", ErrStranger
	}
	return p.allowed(id)
}

// allowed reads whose identity it is. An address that the provider did not verify is anybody's.
func (p *Provider) allowed(id *oidc.IDToken) (string, error) {
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"` // some providers send "true"
	}
	if err := id.Claims(&claims); err != nil {
		return "", fmt.Errorf("read the identity: %w", err)
	}
	switch {
	case claims.Verified != true && claims.Verified != "true":
		return "", fmt.Errorf("%w: the provider has not verified the address %q", ErrDenied, claims.Email)
	case !p.Allowed.Has(claims.Email):
		return "", fmt.Errorf("%w: %q is not in OIDC_ALLOWED", ErrDenied, claims.Email)
	}
	return claims.Email, nil
}

// config is what the provider is asked with.
func (p *Provider) config(ctx context.Context) (oauth2.Config, *oidc.Provider, error) {
	found, err := p.find(ctx)
	if err != nil {
		return oauth2.Config{}, nil, fmt.Errorf("OIDC_ISSUER: %w", err)
	}
	return oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(), Endpoint: found.Endpoint(),
		RedirectURL: p.redirect, Scopes: []string{oidc.ScopeOpenID, "email"},
	}, found, nil
}

// find looks the provider up, the first time and until it is found. All who wait at a time share one look: one that does
// not answer takes as long for many as for one.
func (p *Provider) find(ctx context.Context) (*oidc.Provider, error) {
	known := func() *oidc.Provider {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.found
	}
	if found := known(); found != nil {
		return found, nil
	}
	found, err, _ := p.looking.Do("", func() (any, error) {
		if found := known(); found != nil {
			return found, nil
		}
		// The keys are fetched with this context later on: it must not end with the request.
		found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found = found
		return found, nil
	})
	if err != nil {
		return nil, err
	}
	return found.(*oidc.Provider), nil
}

// hushed drops the body of the provider's answer from an error: nobody knows what it says.
func hushed(err error) error {
	var e *oauth2.RetrieveError
	if errors.As(err, &e) && e.Response != nil {
		return fmt.Errorf("the provider answered %s %s", e.Response.Status, e.ErrorCode)
	}
	return err
}
