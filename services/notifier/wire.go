package notifier

import (
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// Apply fills the options that the configuration decides: sender, chats, deadman address, language, zone and
// page. c must have passed Check. Without Telegram it says so in the log, loudly, and alerts go there.
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
	if !c.Telegram() {
		log.Warn().Msg("NO TELEGRAM TOKEN IS SET: NOBODY IS TOLD, alerts go to this log. " +
			"Get a token from @BotFather, then set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID and start again")
		o.Sender, o.Chats = NewLogSender(log), []string{LogChat}
		return closeDeadman, nil
	}
	client := telegram.New(telegram.Options{URL: c.TelegramURL, Token: c.Token, Log: log})
	o.Sender, o.Chats = client, c.ChatIDs
	return func() { client.Close(); closeDeadman() }, nil
}
