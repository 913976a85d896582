package bus

import (
	"context"

	"github.com/nats-io/nats.go"
)

type headerKey struct{}

type header struct{ name, value string }

// WithHeader makes what is published within ctx carry a header; ctx itself for an empty value.
func WithHeader(ctx context.Context, name, value string) context.Context {
	if value == "" {
		return ctx
	}
	return context.WithValue(ctx, headerKey{}, header{name, value})
}

// HeaderIn is the header that WithHeader put there, "" for none.
func HeaderIn(ctx context.Context) (name, value string) {
	h, _ := ctx.Value(headerKey{}).(header)
	return h.name, h.value
}

// message is what is published within ctx.
func message(ctx context.Context, subject string, data []byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: data}
	if name, value := HeaderIn(ctx); value != "" {
		m.Header = nats.Header{name: {value}}
	}
	return m
}
