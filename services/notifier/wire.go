package notifier

import (
	"context"
	"errors"
	"slices"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/webhook"
)

// Apply fills the options that the configuration decides: sender, chats, deadman address, language, zone and
// page. c must have passed Check. Where nobody is told it says so in the log, loudly, and alerts go there.
// The returned function drops what the sender holds open.
func (c Config) Apply(o *Options, log zerolog.Logger) (closeSender func(), err error) {
	if o.Language, err = ParseLanguage(c.Language); err != nil {
		return nil, err
	}
	if o.Location, err = c.Location(); err != nil {
		return nil, err
	}
	o.PublicURL, o.Log = c.PublicURL, log
	o.Routes, o.Reminders, o.DailySummary = c.Routes, c.Reminders, c.Summary
	closeDeadman := func() {}
	if c.DeadmanURL != "" {
		d := NewDeadmanURL(c.DeadmanURL)
		o.Deadman, closeDeadman = d, d.Close
	}
	closeSenders := c.senders(o, log)
	return func() { closeSenders(); closeDeadman() }, nil
}

// senders sets whom to tell, and by what.
func (c Config) senders(o *Options, log zerolog.Logger) (closeSenders func()) {
	if !c.Tells() {
		log.Warn().Msg("NO TELEGRAM TOKEN IS SET: NOBODY IS TOLD, alerts go to this log. " +
			"Get a token from @BotFather, then set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID and start again")
		o.Sender, o.Chats = NewLogSender(log), []string{LogChat}
		return func() {}
	}
	closeSenders = func() {}
	if c.Telegram() {
		client := telegram.New(telegram.Options{URL: c.TelegramURL, Token: c.Token, HTTP: tracedClient(o.Tracer, methodName), Log: log})
		o.Sender, o.Chats, closeSenders = client, slices.Clone(c.ChatIDs), client.Close
		if c.BotCommands {
			o.Bot, o.Sender = client, buttoned{client, o.Language}
		}
	}
	if c.WebhookURL != "" {
		hook := webhook.New(webhook.Options{URL: c.WebhookURL, Secret: c.WebhookSecret, HTTP: tracedClient(o.Tracer, postName)})
		closeTelegram := closeSenders
		o.Sender, o.Everything = router{telegram: o.Sender, hook: hook}, []string{webhook.Chat}
		o.Renderers = map[string]Renderer{webhook.Chat: hookRenderer(c.PublicURL)}
		closeSenders = func() { hook.Close(); closeTelegram() }
	}
	return closeSenders
}

// router sends by the name of the chat.
type router struct {
	telegram Sender // nil when there is no Telegram
	hook     Sender
}

// Send implements Sender.
func (r router) Send(ctx context.Context, chat, text string, replyTo int64) (int64, error) {
	switch {
	case chat == webhook.Chat:
		return r.hook.Send(ctx, chat, text, replyTo)
	case r.telegram == nil:
		return 0, errors.New("there is no Telegram to tell " + chat)
	}
	return r.telegram.Send(ctx, chat, text, replyTo)
}

// SendFailure implements FailureSender.
func (r router) SendFailure(ctx context.Context, n nodestore.Notification) (int64, error) {
	if s, ok := r.telegram.(FailureSender); ok && n.Chat != webhook.Chat {
		return s.SendFailure(ctx, n)
	}
	return r.Send(ctx, n.Chat, n.Text, n.ReplyTo)
}

// MovedTo implements Mover.
func (r router) MovedTo(chat string) string {
	if m, ok := r.telegram.(Mover); ok && chat != webhook.Chat {
		return m.MovedTo(chat)
	}
	return ""
}
