package notifier

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

const testToken = "123456:AAH-secret_Part"

// load reads a Config from these variables and nothing else.
func load(t *testing.T, env map[string]string) (Config, error) {
	t.Helper()
	for _, name := range []string{"TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "TELEGRAM_API_URL", "LANGUAGE", "TZ",
		"PUBLIC_URL", "WEBHOOK_URL", "WEBHOOK_SECRET", "DEADMAN_URL",
		"TELEGRAM_BOT_COMMANDS", "REMINDERS"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var c Config
	err := settings.Load(&c)
	return c, err
}

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type env = map[string]string
	with := func(e env) env {
		if e["TELEGRAM_BOT_TOKEN"] == "" && e["TELEGRAM_BOT_TOKEN_FILE"] == "" {
			e["TELEGRAM_BOT_TOKEN"] = testToken
		}
		if e["TELEGRAM_CHAT_ID"] == "" {
			e["TELEGRAM_CHAT_ID"] = "1"
		}
		return e
	}
	for name, tt := range map[string]struct {
		env  env
		want string // in the error; "" for none
	}{
		"nothing":                {env{}, ""},
		"all":                    {with(env{"TELEGRAM_CHAT_ID": "-100123, -100123:7,@team", "LANGUAGE": "ru", "TZ": "Europe/Berlin", "PUBLIC_URL": "https://x.example"}), ""},
		"token from a file":      {with(env{"TELEGRAM_BOT_TOKEN_FILE": file}), ""},
		"token alone":            {env{"TELEGRAM_BOT_TOKEN": testToken}, "TELEGRAM_CHAT_ID is not"},
		"chat alone":             {env{"TELEGRAM_CHAT_ID": "1"}, "TELEGRAM_BOT_TOKEN is not"},
		"token malformed":        {with(env{"TELEGRAM_BOT_TOKEN": "bot" + testToken}), "TELEGRAM_BOT_TOKEN=***"},
		"chat malformed":         {with(env{"TELEGRAM_CHAT_ID": "1,team"}), "TELEGRAM_CHAT_ID=1,team is not allowed"},
		"chat topic malformed":   {with(env{"TELEGRAM_CHAT_ID": "1:0"}), "TELEGRAM_CHAT_ID=1:0"},
		"language":               {env{"LANGUAGE": "de"}, "LANGUAGE=de is not allowed: it must be en or ru"},
		"a desktop's language":   {env{"LANGUAGE": "de_DE:de"}, ""},
		"zone":                   {env{"TZ": "Mars/Olympus"}, "TZ=Mars/Olympus"},
		"zone as POSIX has it":   {env{"TZ": ":Europe/Berlin"}, ""},
		"API address":            {env{"TELEGRAM_API_URL": "api.telegram.org"}, "TELEGRAM_API_URL=api.telegram.org"},
		"page's address":         {env{"PUBLIC_URL": "nodes"}, "PUBLIC_URL=nodes"},
		"dead man's address":     {env{"DEADMAN_URL": "ftp://secret-key"}, "DEADMAN_URL=***"},
		"webhook alone":          {env{"WEBHOOK_URL": "https://hook.example/secret", "WEBHOOK_SECRET": "secret"}, ""},
		"webhook's address":      {env{"WEBHOOK_URL": "hook.example/secret"}, "WEBHOOK_URL=***"},
		"a secret for nothing":   {env{"WEBHOOK_SECRET": "x"}, "WEBHOOK_URL is not"},
		"commands":               {with(env{"TELEGRAM_BOT_COMMANDS": "true"}), ""},
		"commands to nobody":     {env{"TELEGRAM_BOT_COMMANDS": "true"}, "TELEGRAM_BOT_TOKEN is not"},
		"commands, perhaps":      {with(env{"TELEGRAM_BOT_COMMANDS": "maybe"}), "TELEGRAM_BOT_COMMANDS=maybe is not allowed"},
		"no reminders":           {env{"REMINDERS": "off"}, ""},
		"reminders shrink":       {env{"REMINDERS": "6h,1h"}, "REMINDERS=6h,1h is not allowed"},
		"reminders not a time":   {env{"REMINDERS": "1h,soon"}, "REMINDERS=1h,soon"},
		"routes":                 {with(env{"ROUTES": "dc=home -> -100123:7; team=red,gpu=h100 -> @team_red"}), ""},
		"a route to nowhere":     {with(env{"ROUTES": "dc=home -> "}), "ROUTES=dc=home ->  is not allowed: it must be label=value,… -> chat,…"},
		"a route from nowhere":   {with(env{"ROUTES": "-> 5"}), "ROUTES=-> 5 is not allowed"},
		"a route without arrow":  {with(env{"ROUTES": "dc=home 5"}), "ROUTES=dc=home 5 is not allowed"},
		"a route to no chat":     {with(env{"ROUTES": "dc=home -> team"}), "ROUTES=dc=home -> team is not allowed"},
		"routes without a bot":   {env{"ROUTES": "dc=home -> 5"}, "ROUTES is set but TELEGRAM_BOT_TOKEN is not"},
		"summary":                {env{"DAILY_SUMMARY": "09:00"}, ""},
		"no summary":             {env{"DAILY_SUMMARY": "off"}, ""},
		"summary at no time":     {env{"DAILY_SUMMARY": "9 am"}, "DAILY_SUMMARY=9 am is not allowed: it must be a time of day such as 09:00, in TZ, or off"},
		"reminders too frequent": {env{"REMINDERS": "1s"}, "REMINDERS=1s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tt.env)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			case err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n")):
				t.Errorf("a secret, or more than a line: %v", err)
			}
		})
	}
}

func TestConfigValues(t *testing.T) {
	c, err := load(t, map[string]string{
		"TELEGRAM_BOT_TOKEN": testToken, "TELEGRAM_CHAT_ID": " -100123, @team:7 ,-100123,", "TZ": "Europe/Berlin",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"-100123", "@team:7"}; !slices.Equal(c.ChatIDs, want) {
		t.Errorf("chats %q, want %q", c.ChatIDs, want)
	}
	if want := []time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour}; !slices.Equal(c.Reminders, want) {
		t.Errorf("reminders %v, want %v", c.Reminders, want)
	}
	if c.Summary.Set || len(c.Routes) != 0 {
		t.Errorf("summary at %v, routes %v, though neither is set", c.Summary, c.Routes)
	}
	if c.TelegramURL != telegram.DefaultURL {
		t.Errorf("API at %s", c.TelegramURL)
	}
	if loc, err := c.Location(); err != nil || loc.String() != "Europe/Berlin" {
		t.Errorf("zone %v, %v", loc, err)
	}
}

func TestParseLanguage(t *testing.T) {
	for in, want := range map[string]Language{
		"en": English, "": English, "RU": Russian, "ru_RU.UTF-8": Russian, "en_US:en": English, "de_DE:ru": Russian, "fr_FR": English,
	} {
		if got, err := ParseLanguage(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := ParseLanguage("klingon"); err == nil {
		t.Error("klingon is allowed")
	}
}

func TestWithoutTelegramAlertsGoToTheLog(t *testing.T) {
	var out bytes.Buffer
	var o Options
	c, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeSender, err := c.Apply(&o, zerolog.New(&out))
	if err != nil {
		t.Fatal(err)
	}
	defer closeSender()
	if !strings.Contains(out.String(), "NO TELEGRAM TOKEN") || !strings.Contains(out.String(), "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID") {
		t.Errorf("not said loudly: %s", out.String())
	}
	if !slices.Equal(o.Chats, []string{LogChat}) {
		t.Errorf("chats %q", o.Chats)
	}
	out.Reset()
	id, err := o.Sender.Send(t.Context(), LogChat, "<b>DOWN</b> &lt;x&gt;", 0)
	if err != nil || id == 0 || !strings.Contains(out.String(), "DOWN <x>") && !strings.Contains(out.String(), `DOWN \u003cx\u003e`) {
		t.Errorf("%d, %v, log: %s", id, err, out.String())
	}
}

func TestWithTelegramItsChatsAreTold(t *testing.T) {
	var out bytes.Buffer
	var o Options
	c, err := load(t, map[string]string{"TELEGRAM_BOT_TOKEN": testToken, "TELEGRAM_CHAT_ID": "1,2", "LANGUAGE": "ru"})
	if err != nil {
		t.Fatal(err)
	}
	closeSender, err := c.Apply(&o, zerolog.New(&out))
	if err != nil {
		t.Fatal(err)
	}
	defer closeSender()
	if _, ok := o.Sender.(*telegram.Client); !ok || len(o.Chats) != 2 || o.Language != Russian || out.Len() != 0 {
		t.Errorf("%T, %q, %s, log: %s", o.Sender, o.Chats, o.Language, out.String())
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	good := Options{ID: "a", Store: newMemory(), Sender: newScript(nil), Chats: []string{"1"}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no ID":     func(o *Options) { o.ID = "" },
		"no store":  func(o *Options) { o.Store = nil },
		"no sender": func(o *Options) { o.Sender = nil },
		"no chats":  func(o *Options) { o.Chats = nil },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
}
