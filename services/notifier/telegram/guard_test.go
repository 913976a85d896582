package telegram_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// ending is a context of which only Err knows that it is over, as when the process was frozen and its timers with it.
type ending struct {
	context.Context
	over atomic.Bool
}

func (e *ending) Err() error {
	if e.over.Load() {
		return errors.New("the lease is over")
	}
	return e.Context.Err()
}

// Whether the process was frozen while it connected, or before it used a connection that it had: what was not sent in
// time is not sent.
func TestNoMessageLeavesAfterItsContext(t *testing.T) {
	fake := telegramtest.New()
	t.Cleanup(fake.Close)
	ctx := &ending{Context: t.Context()}
	var freeze atomic.Bool
	transport := &http.Transport{DialContext: func(dctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(dctx, network, addr)
		ctx.over.Store(freeze.Load())
		return c, err
	}}
	c := telegram.New(telegram.Options{URL: fake.URL(), Token: telegramtest.Token, HTTP: &http.Client{Transport: transport}})
	t.Cleanup(c.Close)

	freeze.Store(true)
	if _, err := c.Send(ctx, "7", "late", 0); err == nil {
		t.Error("frozen while connecting: no error")
	}
	freeze.Store(false)
	ctx.over.Store(false)
	if _, err := c.Send(ctx, "7", "in time", 0); err != nil {
		t.Fatal(err)
	}
	ctx.over.Store(true)
	if _, err := c.Send(ctx, "7", strings.Repeat("late too ", 400), 0); err == nil {
		t.Error("frozen before the connection was used: no error")
	}
	if all := fake.Messages(); len(all) != 1 || all[0].Text != "in time" {
		t.Errorf("messages: %+v", all)
	}
}
