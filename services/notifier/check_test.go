package notifier

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// checked runs CheckTelling on a fake Telegram and returns what it wrote.
func checked(t *testing.T, c Config) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := c.CheckTelling(t.Context(), &out, noon)
	http.DefaultClient.CloseIdleConnections()
	return out.String(), err
}

func checkConfig(fake *telegramtest.Server, chats ...string) Config {
	return Config{Token: telegramtest.Token, TelegramURL: fake.URL(), ChatIDs: chats, Language: "en"}
}

func TestTheCheckReachesEveryChat(t *testing.T) {
	fake := newFake(t)
	c := checkConfig(fake, "7", "@team")
	c.Routes = Routes{{Labels: []string{"dc=home"}, Chats: []string{"-1005:3", "7"}}}
	out, err := checked(t, c)
	const want = "✓ token: the bot is @fake_bot\n✓ chat -1005:3 (Group -1005): message sent\n" +
		"✓ chat 7 (Person 7): message sent\n✓ chat @team (Group @team): message sent\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	all := fake.Messages()
	if len(all) != 3 || all[0].Thread != 3 || all[0].Plain != "Gensyn Monitor test message" {
		t.Errorf("messages %+v", all)
	}
}

// One chat that cannot be reached hides no other, and each line says how to mend it.
func TestTheCheckSaysWhatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		language string
		spoil    func(*telegramtest.Server)
		lines    []string // of which each line begins so, in order, and ends so
		err      string
	}{
		"wrong token": {"en", func(f *telegramtest.Server) { f.Only("5:other") },
			[]string{"✗ Telegram does not know the bot|@BotFather shows it under API Token"}, "1 of 1 failed"},
		"unknown chat": {"en", func(f *telegramtest.Server) { f.Know("2", "3") },
			[]string{"✓ token", "✗ chat 1: Telegram says \"Bad Request: chat not found\"|pressed Start first", "✓ chat 2", "✓ chat 3"}, "1 of 4 failed"},
		"kicked, in Russian": {"ru", func(f *telegramtest.Server) { f.Always("2", telegramtest.Forbidden(telegramtest.BotKicked)) },
			[]string{"✓ токен: это бот @fake_bot", "✓ чат 1 (Person 1): сообщение отправлено", "✗ чат 2: Telegram отвечает|добавьте бота в чат снова", "✓ чат 3"}, "не удалось: 1 из 4"},
		"may not write": {"en", func(f *telegramtest.Server) { f.Next("3", telegramtest.BadRequest(telegramtest.NoRights)) },
			[]string{"✓", "✓", "✓", "✗ chat 3|allow the bot to write in the chat"}, "1 of 4 failed"},
		"topic closed": {"en", func(f *telegramtest.Server) { f.Next("3", telegramtest.BadRequest(telegramtest.TopicClosed)) },
			[]string{"✓", "✓", "✓", "✗ chat 3|write there"}, "1 of 4 failed"},
		"moved": {"en", func(f *telegramtest.Server) { f.Next("3", telegramtest.Moved(-1005)) },
			[]string{"✓", "✓", "✓", "✓ chat 3", "! chat 3 has become -1005|TELEGRAM_CHAT_ID"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFake(t)
			tt.spoil(fake)
			c := checkConfig(fake, "1", "2", "3")
			c.Language = tt.language
			out, err := checked(t, c)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) != len(tt.lines) {
				t.Fatalf("%d lines:\n%s", len(lines), out)
			}
			for i, want := range tt.lines {
				begin, end, _ := strings.Cut(want, "|")
				if !strings.HasPrefix(lines[i], begin) || !strings.HasSuffix(lines[i], end) {
					t.Errorf("line %q, want %q", lines[i], want)
				}
			}
		})
	}
}

func TestTheCheckPostsToTheWebhook(t *testing.T) {
	var got string
	status := http.StatusAccepted
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Header.Get("X-Gensyn-Signature") + string(body)
		w.WriteHeader(status)
	}))
	defer s.Close()
	c := Config{WebhookURL: settings.Secret(s.URL), WebhookSecret: "s", Language: "ru"}
	out, err := checked(t, c)
	if err != nil || !strings.HasSuffix(out, "✓ вебхук: принято\n") || !strings.HasPrefix(got, "sha256=") || !strings.Contains(got, `"kind":"test"`) {
		t.Errorf("%v\n%s\n%s", err, out, got)
	}
	status = http.StatusGone
	if out, err := checked(t, c); err == nil || !strings.Contains(out, "✗ вебхук отвечает 410") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := checked(t, Config{}); err == nil || !strings.Contains(err.Error(), "TELEGRAM_BOT_TOKEN") {
		t.Errorf("nobody is told: %v", err)
	}
}
