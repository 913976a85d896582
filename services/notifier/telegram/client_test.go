package telegram_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fakeAndClient(t *testing.T, log zerolog.Logger) (*telegramtest.Server, *telegram.Client) {
	t.Helper()
	fake := telegramtest.New()
	t.Cleanup(fake.Close)
	return fake, clientOf(t, fake.URL(), telegramtest.Token, log)
}

func clientOf(t *testing.T, url string, token settings.Secret, log zerolog.Logger) *telegram.Client {
	t.Helper()
	return impatient(t, time.Minute, url, token, log)
}

// impatient is for tests in which it matters how long an answer is waited for.
func impatient(t *testing.T, timeout time.Duration, url string, token settings.Secret, log zerolog.Logger) *telegram.Client {
	t.Helper()
	c := telegram.New(telegram.Options{URL: url + "/", Token: token, Timeout: timeout, Log: log})
	t.Cleanup(c.Close)
	return c
}

func TestSend(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	first, err := c.Send(t.Context(), "-100123:7", "<b>a</b> &lt;b&gt;", 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Send(t.Context(), "@team", "b", first)
	if err != nil {
		t.Fatal(err)
	}
	all := fake.Messages()
	if len(all) != 2 || all[0].ID != first || all[1].ID != second || first == second {
		t.Fatalf("ids %d and %d of %+v", first, second, all)
	}
	a, b := all[0], all[1]
	if a.Chat != "-100123" || a.Thread != 7 || a.ParseMode != "HTML" || a.Plain != "a <b>" || a.ReplyTo != 0 || !a.NoPreview {
		t.Errorf("first: %+v", a)
	}
	if b.Chat != "@team" || b.Thread != 0 || b.ReplyTo != first {
		t.Errorf("second: %+v", b)
	}
}

// The bytes on the wire, as https://core.telegram.org/bots/api#sendmessage has them.
func TestTheRequestOnTheWire(t *testing.T) {
	var path string
	var body map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.Method + " " + r.URL.Path
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&body); err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(`{"ok":true,"result":{"message_id":42,"date":1,"chat":{"id":1}}}`))
	}))
	defer s.Close()
	id, err := clientOf(t, s.URL, "1:T", zerolog.Nop()).Send(t.Context(), "-1001234567890:5", "x", 9)
	if err != nil || id != 42 {
		t.Fatalf("%d, %v", id, err)
	}
	if path != "POST /bot1:T/sendMessage" {
		t.Errorf("path %s", path)
	}
	got, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"chat_id":-1001234567890,"link_preview_options":{"is_disabled":true},"message_thread_id":5,` +
		`"parse_mode":"HTML","reply_parameters":{"allow_sending_without_reply":true,"message_id":9},"text":"x"}`
	if string(got) != want {
		t.Errorf("body\n%s, want\n%s", got, want)
	}
}

// A message may be worded anew only if it was certainly not accepted. A page that says 200 may stand for an answer which
// was spoilt on its way.
func TestErrorsSayWhatToDo(t *testing.T) {
	certain := []string{
		"429", "429 of a proxy", "429 without a time", "wrong token", "malformed token", "chat not found", "topic not found",
		"no rights", "blocked", "kicked", "group deleted", "403, new wording", "a redirect", "topic closed", "not a member",
		"a proxy's 407",
	}
	for name, tt := range map[string]struct {
		answer    telegramtest.Answer
		words     string
		permanent bool
		wait      time.Duration
	}{
		"429":                {telegramtest.TooMany(35 * time.Second), "wait 35s", false, 35 * time.Second},
		"429 without a time": {telegramtest.TooMany(0), "wait", false, 0},
		"group deleted":      {telegramtest.Forbidden("Forbidden: the group chat was deleted"), "change TELEGRAM_CHAT_ID", true, 0},
		"500":                {telegramtest.Broken(500), "500 Internal Server Error", false, 0},
		"502 of a proxy":     {telegramtest.Page(502, "<html>secret page</html>"), "502 Bad Gateway", false, 0},
		"429 of a proxy":     {telegramtest.Page(429, "slow down"), "too many requests", false, 0},
		"wrong token":        {telegramtest.Unauthorized(), "is TELEGRAM_BOT_TOKEN right?", true, 0},
		"malformed token":    {telegramtest.NotFound(), "is TELEGRAM_BOT_TOKEN right?", true, 0},
		"chat not found":     {telegramtest.BadRequest(telegramtest.ChatNotFound), "is the bot in the chat", true, 0},
		"topic not found":    {telegramtest.BadRequest(telegramtest.ThreadNotFound), "topic", true, 0},
		"no rights":          {telegramtest.BadRequest(telegramtest.NoRights), "allow the bot to write", true, 0},
		"blocked":            {telegramtest.Forbidden(telegramtest.BotBlocked), "unblock the bot", true, 0},
		"kicked":             {telegramtest.Forbidden(telegramtest.BotKicked), "add the bot", true, 0},
		"403, new wording":   {telegramtest.Forbidden("Forbidden: because"), "allow the bot to write", true, 0},
		"not Telegram":       {telegramtest.Page(200, "<html>Welcome to the hotel"), "is TELEGRAM_API_URL right?", true, 0},
		"a redirect":         {telegramtest.Page(302, "moved"), "is TELEGRAM_API_URL right?", true, 0},
		"topic closed":       {telegramtest.BadRequest(telegramtest.TopicClosed), "open the topic again", true, 0},
		"not a member":       {telegramtest.Forbidden(telegramtest.NotMember), "add the bot to the chat", true, 0},
		"a proxy's 407":      {telegramtest.Page(407, "who are you"), "HTTPS_PROXY refuses", true, 0},
		"huge":               {telegramtest.Huge(3 << 20), "is TELEGRAM_API_URL right?", true, 0},
		"hangs":              {telegramtest.Hang(), "did not answer in time", false, 0},
		"drops":              {telegramtest.Drop(), "broke", false, 0},
		"accepts, drops":     {telegramtest.AcceptAndDrop(), "broke", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fake, c := fakeAndClient(t, zerolog.Nop())
			if name == "hangs" {
				c = impatient(t, 2*time.Second, fake.URL(), telegramtest.Token, zerolog.Nop())
			}
			fake.Next("1", tt.answer)
			_, err := c.Send(t.Context(), "1", "x", 0)
			var e *telegram.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(e.Words, tt.words) || e.Permanent != tt.permanent || e.RetryAfter != tt.wait {
				t.Errorf("%+v, want %q, permanent %v, wait %v", e, tt.words, tt.permanent, tt.wait)
			}
			if ru := e.In("ru"); ru == e.Words || strings.Contains(ru, "%!") || e.In("en") != e.Words {
				t.Errorf("in Russian: %q", ru)
			}
			if e.NotAccepted() != slices.Contains(certain, name) {
				t.Errorf("certainly not accepted: %v", e.NotAccepted())
			}
			if strings.Contains(err.Error(), telegramtest.Token) || strings.Contains(err.Error(), "<html>") {
				t.Errorf("the token or a page is in %q", err)
			}
			if n := fake.Calls("1"); n != 1 {
				t.Errorf("%d calls: only the caller may repeat", n)
			}
		})
	}
}

// nobody listens there.
const nobody = "http://127.0.0.1:1"

func TestNoErrorHoldsTheToken(t *testing.T) {
	const token = "99:very-secret"
	for name, url := range map[string]string{
		"refused":         nobody,
		"no such host":    "http://nothing.invalid",
		"not an address":  "http://\x7f",
		"unknown scheme":  "gopher://x",
		"missing address": "http://",
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			_, err := clientOf(t, url, token, zerolog.New(&log)).Send(t.Context(), "1", "x", 0)
			if err == nil {
				t.Fatal("accepted")
			}
			if all := err.Error() + log.String(); strings.Contains(all, "very-secret") || strings.Contains(all, "/bot") {
				t.Error(all)
			}
		})
	}
}

// What answers need not be Telegram, and may repeat what it was asked.
func TestAnEchoOfTheTokenIsNotShown(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error_code": 400, "description": "bad " + r.URL.Path})
	}))
	defer s.Close()
	_, err := clientOf(t, s.URL, "99:very-secret", zerolog.Nop()).Send(t.Context(), "1", "x", 0)
	if err == nil || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("%v", err)
	}
}

func TestARefusedConnectionMayBeTriedAgain(t *testing.T) {
	_, err := clientOf(t, nobody, "1:T", zerolog.Nop()).Send(t.Context(), "1", "x", 0)
	var e *telegram.Error
	if !errors.As(err, &e) || e.Permanent || !e.NotAccepted() || !strings.Contains(e.Words, "no way to Telegram") {
		t.Errorf("%+v", err)
	}
}

func TestTheContextEndsACall(t *testing.T) {
	fake, _ := fakeAndClient(t, zerolog.Nop())
	fake.Always("", telegramtest.Hang())
	c := telegram.New(telegram.Options{URL: fake.URL(), Token: telegramtest.Token})
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := c.Send(ctx, "1", "x", 0)
		ended <- err
	}()
	if err := fake.WaitForCalls(t.Context(), "1", 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("accepted")
		}
	case <-time.After(5 * time.Second):
		t.Error("the call goes on")
	}
}

func TestAMessageThatCannotBeReadGoesAsPlainText(t *testing.T) {
	for name, html := range map[string]string{
		"bad markup": "<x>broken</x> &lt;b&gt; &amp; more",
		"too long":   "<b>t</b>" + strings.Repeat("ж😀", 3000),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			fake, c := fakeAndClient(t, zerolog.New(&log))
			if _, err := c.Send(t.Context(), "1", html, 0); err != nil {
				t.Fatal(err)
			}
			all := fake.Messages()
			if len(all) != 1 || all[0].ParseMode != "" {
				t.Fatalf("messages %+v", all)
			}
			got := all[0].Text
			if name == "bad markup" && got != "broken <b> & more" {
				t.Errorf("text %q", got)
			}
			if n := telegram.Units(got); name == "too long" && (n > telegram.MaxUnits || n < telegram.MaxUnits-2 || !strings.HasSuffix(got, "…")) {
				t.Errorf("%d units, ends %q", n, got[len(got)-8:])
			}
			if !strings.Contains(log.String(), "sent as plain text") {
				t.Errorf("not in the log: %s", log.String())
			}
		})
	}
}

// When plain text does not help either, the caller gets the refusal.
func TestPlainTextIsTriedOnce(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	fake.Always("1", telegramtest.BadRequest("Bad Request: message text is empty"))
	_, err := c.Send(t.Context(), "1", "<b></b>", 0)
	var e *telegram.Error
	if !errors.As(err, &e) || !e.Permanent || fake.Calls("1") != 2 {
		t.Errorf("%v after %d calls", err, fake.Calls("1"))
	}
}

func TestAMissingMessageToAnswerIsNoObstacle(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	fake.Next("1", telegramtest.BadRequest("Bad Request: message to be replied not found"))
	if _, err := c.Send(t.Context(), "1", "<b>x</b>", 77); err != nil {
		t.Fatal(err)
	}
	if m := fake.Messages()[0]; m.ReplyTo != 0 || m.ParseMode != "HTML" {
		t.Errorf("%+v", m)
	}
}

func TestAGroupThatMovedIsFollowed(t *testing.T) {
	var log bytes.Buffer
	fake, c := fakeAndClient(t, zerolog.New(&log))
	fake.Always("-5", telegramtest.Moved(-1005))
	for range 2 {
		if _, err := c.Send(t.Context(), "-5", "x", 77); err != nil {
			t.Fatal(err)
		}
	}
	if m := fake.Messages()[0]; m.ReplyTo != 0 {
		t.Errorf("it answers %d, a number of the old group", m.ReplyTo)
	}
	if got := c.MovedTo("-5:7"); got != "-1005:7" || c.MovedTo("-6") != "" || c.MovedTo("x") != "" {
		t.Errorf("moved to %q", got)
	}
	if fake.Calls("-5") != 1 || fake.Calls("-1005") != 2 {
		t.Errorf("%d calls to the old id, %d to the new", fake.Calls("-5"), fake.Calls("-1005"))
	}
	if !strings.Contains(log.String(), "-1005") || !strings.Contains(log.String(), "TELEGRAM_CHAT_ID") {
		t.Errorf("log: %s", log.String())
	}
}

// When the new chat cannot be written to either, whoever asked learns where the group went.
func TestARefusalSaysWhereTheGroupWent(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	fake.Always("-5", telegramtest.Moved(-1005))
	fake.Always("-1005", telegramtest.Moved(-1005))
	_, err := c.Send(t.Context(), "-5", "x", 0)
	var e *telegram.Error
	if !errors.As(err, &e) || e.MigrateTo != -1005 || e.Fault != telegram.Migrated {
		t.Errorf("%+v", err)
	}
}

// An accepted message must not be sent again because its answer has an unknown form.
func TestAnAcceptedMessageIsAcceptedWhateverItsForm(t *testing.T) {
	for _, result := range []string{`true`, `{"message_id":"x"}`, `null`, `[]`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"ok":true,"result":` + result + `}`))
		}))
		if id, err := clientOf(t, s.URL, "1:T", zerolog.Nop()).Send(t.Context(), "1", "x", 0); err != nil || id != 0 {
			t.Errorf("%s: %d, %v", result, id, err)
		}
		s.Close()
	}
}

func TestParseChat(t *testing.T) {
	for in, want := range map[string]telegram.Chat{
		"1": {ID: "1"}, "-1001234567890": {ID: "-1001234567890"}, "-100:15": {ID: "-100", Topic: 15},
		"@team": {ID: "@team"}, "@team_x9:2": {ID: "@team_x9", Topic: 2},
	} {
		if got, err := telegram.ParseChat(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "team", "0", "--1", "1:", "1:0", "1:-2", "1:2:3", "@t", "@9abc", "1 2", "9999999999999999999", "@team\n"} {
		if got, err := telegram.ParseChat(in); err == nil {
			t.Errorf("%q is a chat: %+v", in, got)
		}
	}
}

func TestPlainTextAndUnits(t *testing.T) {
	for html, want := range map[string]string{
		"": "", "a": "a", "<b>a</b>&lt;c&gt;": "a<c>", "&amp;lt;": "&lt;", `<a href="x">y</a>`: "y", "a<unclosed": "a",
	} {
		if got := telegram.PlainText(html); got != want {
			t.Errorf("%q: %q, want %q", html, got, want)
		}
	}
	for text, want := range map[string]int{"": 0, "a": 1, "ж": 1, "😀": 2, "\xff": 1} {
		if got := telegram.Units(text); got != want {
			t.Errorf("%q: %d units, want %d", text, got, want)
		}
	}
}

func FuzzEscapeRoundTrip(f *testing.F) {
	f.Add("a<b>&amp;\"'")
	f.Fuzz(func(t *testing.T, s string) {
		if got := telegram.PlainText("<code>" + telegram.Escape(s) + "</code>"); got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}
