package notifier

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/bot"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// newBot makes the part that takes commands. It shows values as notifications do.
func newBot(o Options) (*bot.Service, error) {
	c := catalogueOf(o.Language)
	return bot.New(bot.Options{
		ID: o.ID, Store: o.BotStore, Client: o.Bot, Chats: o.told, Language: string(o.Language), Page: o.PublicURL,
		Format: bot.Format{
			Duration: c.duration,
			Moment:   func(t time.Time) string { return c.moment(t, o.Location) },
			Reason:   c.reasonWords,
			Code:     new(page).code,
			Covers:   nodestore.Silence.Covers,
		},
		Log: o.Log.With().Str("what", "commands").Logger(), Now: o.Now,
	})
}

// buttoned is Telegram with buttons under the failures of single nodes.
type buttoned struct {
	*telegram.Client
	language Language
}

// SendFailure implements FailureSender.
func (b buttoned) SendFailure(ctx context.Context, n nodestore.Notification) (int64, error) {
	return b.SendMessage(ctx, telegram.Message{
		Chat: n.Chat, HTML: n.Text, ReplyTo: n.ReplyTo, Buttons: bot.Buttons(string(b.language), n.ID),
	})
}
