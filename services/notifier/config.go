package notifier

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// Config is what the environment says of whom to tell, and how; standalone embeds it, too.
type Config struct {
	Token         settings.Secret `envconfig:"TELEGRAM_BOT_TOKEN" desc:"of the bot, from @BotFather; not set: alerts go to the log"`
	ChatIDs       ChatList        `envconfig:"TELEGRAM_CHAT_ID" allowed:"chats separated by commas, each a number or @name, with :topic for a topic" desc:"chats to tell, separated by commas; chat:topic for a topic of a group"`
	TelegramURL   string          `envconfig:"TELEGRAM_API_URL" default:"https://api.telegram.org" desc:"another Bot API server; HTTPS_PROXY is honoured, too"`
	BotCommands   bool            `envconfig:"TELEGRAM_BOT_COMMANDS" default:"false" allowed:"true or false" desc:"take commands such as /status and /silence in the chats that are told, and put buttons under failures"`
	Language      string          `envconfig:"LANGUAGE" default:"en" desc:"en or ru"`
	TZ            string          `envconfig:"TZ" desc:"time zone of the times told, like Europe/Berlin; the machine's own when not set"`
	PublicURL     string          `envconfig:"PUBLIC_URL" desc:"where people reach the page, like https://nodes.example.org"`
	WebhookURL    settings.Secret `envconfig:"WEBHOOK_URL" desc:"where notifications are posted as JSON, besides Telegram or instead of it; see docs/webhook.md"`
	WebhookSecret settings.Secret `envconfig:"WEBHOOK_SECRET" desc:"signs what is posted to WEBHOOK_URL"`
	DeadmanURL    settings.Secret `envconfig:"DEADMAN_URL" desc:"of an outside watchdog, like https://hc-ping.com/<uuid>: called once a minute only while heartbeats come all the way through and alerts are told"`
	Reminders     Reminders       `envconfig:"REMINDERS" default:"1h,6h,24h" allowed:"growing times such as 1h,6h,24h, or off" desc:"when people are told again of a node still down, counted from the beginning; the last time repeats; off for never"`
	Routes        Routes          `envconfig:"ROUTES" allowed:"label=value,… -> chat,…; …" desc:"sends nodes with these labels (from their meta) to other chats, like dc=home -> -100123:7; team=red,gpu=h100 -> @red; all other nodes, and the monitor's own alerts, go to TELEGRAM_CHAT_ID"`
	Summary       TimeOfDay       `envconfig:"DAILY_SUMMARY" allowed:"a time of day such as 09:00, in TZ, or off" desc:"when people are told how the nodes did during the last day, like 09:00; not set: never"`
}

// ProcessConfig is the environment of the notifier as a program of its own.
type ProcessConfig struct {
	Config
	program.Logging
	tracing.Exporting
	DatabaseURL settings.Secret `envconfig:"DATABASE_URL" required:"true" desc:"postgres://user:password@host:5432/database; several hosts: …@a,b/database?target_session_attrs=read-write"`
	NATSURL     string          `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222" desc:"NATS server, several with commas"`
	NATSCreds   string          `envconfig:"NATS_CREDS_FILE" desc:"credentials file for NATS"`
	MetricsAddr string          `envconfig:"METRICS_ADDR" default:"127.0.0.1:9103" desc:"address of /metrics, /healthz and /readyz"`
}

// Check says what is not allowed.
func (c ProcessConfig) Check() error { return cmp.Or(c.Config.Check(), c.CheckExporting()) }

// ChatList is the chats to tell.
type ChatList []string

// Decode implements envconfig.Decoder.
func (l *ChatList) Decode(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part == "" || slices.Contains(*l, part) {
			continue
		}
		if _, err := telegram.ParseChat(part); err != nil {
			return err
		}
		*l = append(*l, part)
	}
	return nil
}

// Reminders are when people are told again of a node that is still down, counted from the first alert; the last one
// repeats. Empty means never.
type Reminders []time.Duration

// Decode implements envconfig.Decoder.
func (r *Reminders) Decode(value string) error {
	if v := strings.ToLower(strings.TrimSpace(value)); v == "off" || v == "" {
		return nil
	}
	least := time.Minute
	for part := range strings.SplitSeq(value, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		if d < least {
			return errors.New("reminders must grow, from a minute on")
		}
		*r = append(*r, d)
		least = d + 1
	}
	return nil
}

var tokenForm = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)

// Check says what is wrong, in one line that names the variable.
func (c Config) Check() error {
	switch {
	case c.Token != "" && len(c.ChatIDs) == 0:
		return errors.New("TELEGRAM_BOT_TOKEN is set but TELEGRAM_CHAT_ID is not: set both, or neither")
	case c.Token == "" && len(c.ChatIDs) > 0:
		return errors.New("TELEGRAM_CHAT_ID is set but TELEGRAM_BOT_TOKEN is not: set both, or neither")
	case c.Token == "" && c.BotCommands:
		return errors.New("TELEGRAM_BOT_COMMANDS is set but TELEGRAM_BOT_TOKEN is not: there is no bot to command")
	case c.Token == "" && len(c.Routes) > 0:
		return errors.New("ROUTES is set but TELEGRAM_BOT_TOKEN is not: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, too")
	case c.Token != "" && !tokenForm.MatchString(c.Token.Reveal()):
		return settings.Invalid("TELEGRAM_BOT_TOKEN", c.Token, "as @BotFather gave it, such as 123456:ABC-def")
	}
	if c.WebhookSecret != "" && c.WebhookURL == "" {
		return errors.New("WEBHOOK_SECRET is set but WEBHOOK_URL is not: set both, or the address alone")
	}
	if _, err := ParseLanguage(c.Language); err != nil {
		return settings.Invalid("LANGUAGE", c.Language, "en or ru")
	}
	if _, err := c.Location(); err != nil {
		return settings.Invalid("TZ", c.TZ, "a time zone such as UTC or Europe/Berlin")
	}
	return cmp.Or(
		checkURL("TELEGRAM_API_URL", c.TelegramURL, c.TelegramURL, true),
		checkURL("PUBLIC_URL", c.PublicURL, c.PublicURL, false),
		checkURL("WEBHOOK_URL", c.WebhookURL.Reveal(), c.WebhookURL, false),
		checkURL("DEADMAN_URL", c.DeadmanURL.Reveal(), c.DeadmanURL, false))
}

// checkURL shows a value only as shown, for it may be a secret.
func checkURL(name, value string, shown any, required bool) error {
	if value == "" && !required {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return settings.Invalid(name, shown, "an address such as https://example.com")
	}
	return nil
}

// Location is the time zone of TZ, the machine's own when it is not set.
func (c Config) Location() (*time.Location, error) {
	name := strings.TrimPrefix(c.TZ, ":")
	if name == "" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("TZ: %w", err)
	}
	return loc, nil
}

// Telegram reports whether people can be told through Telegram.
func (c Config) Telegram() bool { return c.Token != "" }

// Tells reports whether anybody is told. Else alerts go to the log.
func (c Config) Tells() bool { return c.Telegram() || c.WebhookURL != "" }
