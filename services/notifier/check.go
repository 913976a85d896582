package notifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/webhook"
)

// CheckCommand is the command that says whether everybody can be told. It needs neither database nor NATS.
func CheckCommand(name string) program.Command {
	var c Config
	return program.Command{
		Name: name, Config: &c,
		Summary: "checks the bot's token, sends a test message to every chat and webhook, and says what is wrong",
		Run:     func(ctx context.Context, out io.Writer) error { return c.CheckTelling(ctx, out, time.Now()) },
	}
}

// checkWords are what CheckTelling says; those with a verb are for fmt.
type checkWords struct {
	message            string // that is sent
	nobody, noTelegram string
	bot, chat, hook    string // what works
	moved              string
	failed             func(failed, all int) string
}

var checkCatalogue = map[Language]checkWords{
	English: {
		message:    "Gensyn Monitor test message",
		nobody:     "nobody is told: TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are not set. Get a token from @BotFather",
		noTelegram: "Telegram: TELEGRAM_BOT_TOKEN is not set, only the webhook is told",
		bot:        "token: the bot is @%s",
		chat:       "chat %s (%s): message sent",
		hook:       "webhook: accepted",
		moved:      "chat %[1]s has become %[2]s: put %[2]s into TELEGRAM_CHAT_ID",
		failed:     func(failed, all int) string { return fmt.Sprintf("%d of %d failed", failed, all) },
	},
	Russian: {
		message:    "Пробное сообщение Gensyn Monitor",
		nobody:     "никому ничего не сообщается: не заданы TELEGRAM_BOT_TOKEN и TELEGRAM_CHAT_ID. Токен даёт @BotFather",
		noTelegram: "Telegram: TELEGRAM_BOT_TOKEN не задан, сообщается только вебхуку",
		bot:        "токен: это бот @%s",
		chat:       "чат %s (%s): сообщение отправлено",
		hook:       "вебхук: принято",
		moved:      "чат %[1]s стал чатом %[2]s: укажите %[2]s в TELEGRAM_CHAT_ID",
		failed:     func(failed, all int) string { return fmt.Sprintf("не удалось: %d из %d", failed, all) },
	},
}

// check is one run of CheckTelling.
type check struct {
	checkWords
	language    Language
	out         io.Writer
	all, failed int
}

// CheckTelling tries everything that Telegram and the webhook need, with real messages, and writes a line about each.
// It fails unless all of it works. c must have passed Check.
func (c Config) CheckTelling(ctx context.Context, out io.Writer, now time.Time) error {
	l, err := ParseLanguage(c.Language)
	if err != nil {
		return err
	}
	k := &check{checkWords: checkCatalogue[l], language: l, out: out}
	switch {
	case !c.Tells():
		return errors.New(k.nobody)
	case c.Telegram():
		k.telegram(ctx, c)
	default:
		k.line("·", k.noTelegram)
	}
	if c.WebhookURL != "" {
		k.webhook(ctx, c, now)
	}
	if k.failed > 0 {
		return errors.New(k.checkWords.failed(k.failed, k.all))
	}
	return nil
}

func (k *check) telegram(ctx context.Context, c Config) {
	client := telegram.New(telegram.Options{URL: c.TelegramURL, Token: c.Token, Log: zerolog.Nop()})
	defer client.Close()
	me, err := client.Me(ctx)
	if !k.result(fmt.Sprintf(k.bot, me.Username), err) {
		return // the chats would fail for the same reason
	}
	chats := slices.Concat(c.ChatIDs, c.Routes.chats())
	slices.Sort(chats)
	for _, chat := range slices.Compact(chats) {
		title, err := k.tell(ctx, client, chat)
		k.result(fmt.Sprintf(k.chat, chat, title), err)
		if to := client.MovedTo(chat); to != "" {
			k.line("!", fmt.Sprintf(k.moved, chat, to))
		}
	}
}

// tell sends the message to a chat and returns the chat's title.
func (k *check) tell(ctx context.Context, client *telegram.Client, chat string) (string, error) {
	info, err := client.Chat(ctx, chat)
	if err != nil && !telegram.IsFault(err, telegram.Migrated) {
		return "", err
	}
	_, err = client.Send(ctx, chat, telegram.Escape(k.message), 0)
	return cmp.Or(info.Title, info.Name, info.Username), err
}

func (k *check) webhook(ctx context.Context, c Config, now time.Time) {
	hook := webhook.New(webhook.Options{URL: c.WebhookURL, Secret: c.WebhookSecret})
	defer hook.Close()
	body, err := webhook.Render(webhook.Notification{Kind: webhook.Test, At: now.UTC(), Text: k.message, Page: c.PublicURL})
	if err == nil {
		_, err = hook.Send(ctx, webhook.Chat, body, 0)
	}
	k.result(k.hook, err)
}

// result counts one thing tried, and says how it went.
func (k *check) result(works string, err error) bool {
	k.all++
	if err == nil {
		k.line("✓", works)
		return true
	}
	k.failed++
	words := err.Error()
	var speaker interface{ In(language string) string }
	if errors.As(err, &speaker) {
		words = speaker.In(string(k.language))
	}
	k.line("✗", words)
	return false
}

func (k *check) line(mark, words string) { _, _ = fmt.Fprintln(k.out, mark, words) }
