package notifier

import (
	"context"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// LogChat is the chat that is told when no Telegram is set.
const LogChat = "log"

// LogSender writes what would be told to the log, for a monitor without Telegram.
type LogSender struct {
	log  zerolog.Logger
	last atomic.Int64
}

// NewLogSender makes a sender that cannot fail.
func NewLogSender(log zerolog.Logger) *LogSender { return &LogSender{log: log} }

// Send implements Sender. It has no level: LOG_LEVEL=error must not keep from people what they are told nowhere else.
func (s *LogSender) Send(_ context.Context, chat, html string, _ int64) (int64, error) {
	s.log.Log().Str("chat", chat).Str("alert", telegram.PlainText(html)).Msg("alert")
	return s.last.Add(1), nil
}
