package telegramtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(t *testing.T) *Server {
	t.Helper()
	s := New()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return s
}

// post calls a method and returns the status and the answer.
func post(t *testing.T, s *Server, method, kind string, body io.Reader) (int, map[string]any) {
	t.Helper()
	resp, err := http.Post(s.URL()+"/bot"+Token+"/"+method, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

func sendText(t *testing.T, s *Server, chat, text, mode string) (int, string) {
	t.Helper()
	status, out := post(t, s, "sendMessage", "application/x-www-form-urlencoded",
		strings.NewReader(url.Values{"chat_id": {chat}, "text": {text}, "parse_mode": {mode}}.Encode()))
	return status, fmt.Sprint(out["description"])
}

func TestGetMe(t *testing.T) {
	s := newServer(t)
	status, out := post(t, s, "getMe", "", nil)
	if status != 200 || out["ok"] != true || out["result"].(map[string]any)["is_bot"] != true {
		t.Errorf("%d %v", status, out)
	}
	s.Only("5:other")
	if status, _ := post(t, s, "getMe", "", nil); status != 401 {
		t.Errorf("wrong token: %d", status)
	}
	s.Only("")
	if status, _ := post(t, s, "getUpdatez", "", nil); status != 404 {
		t.Errorf("unknown method: %d", status)
	}
}

func TestEveryEncodingOfAMessage(t *testing.T) {
	fields := map[string]string{"chat_id": "-5", "message_thread_id": "3", "text": "<b>x</b>", "parse_mode": "HTML",
		"link_preview_options": `{"is_disabled":true}`, "reply_parameters": `{"message_id":9,"allow_sending_without_reply":true}`,
		"reply_markup": `{"inline_keyboard":[[{"text":"OK","callback_data":"ok"}]]}`}
	form := url.Values{}
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	for k, v := range fields {
		form.Set(k, v)
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const asJSON = `{"chat_id":-5,"message_thread_id":3,"text":"<b>x</b>","parse_mode":"HTML",` +
		`"link_preview_options":{"is_disabled":true},"reply_parameters":{"message_id":9,"allow_sending_without_reply":true},` +
		`"reply_markup":{"inline_keyboard":[[{"text":"OK","callback_data":"ok"}]]}}`
	for kind, body := range map[string]string{
		"application/json":                  asJSON,
		"application/json; charset=utf-8":   asJSON,
		"application/x-www-form-urlencoded": form.Encode(),
		w.FormDataContentType():             multi.String(),
	} {
		s := newServer(t)
		status, out := post(t, s, "sendMessage", kind, strings.NewReader(body))
		all := s.Messages()
		if status != 200 || len(all) != 1 {
			t.Fatalf("%s: %d %v", kind, status, out)
		}
		m := all[0]
		m.At = time.Time{}
		want := Message{ID: 1, Chat: "-5", Thread: 3, Text: "<b>x</b>", Plain: "x", ParseMode: "HTML", ReplyTo: 9, NoPreview: true,
			Buttons: [][]Button{{{Text: "OK", Data: "ok"}}}}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v", kind, m)
		}
	}
}

func TestMarkupIsCheckedAsTelegramDoes(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                           "",
		"<b>a</b> <code>&lt;</code>":      "",
		`<a href="https://x/?a&amp;b">`:   "Can't find end tag",
		"<B>a</b>":                        "",
		"<script>x</script>":              "Unsupported start tag \"script\"",
		"a < b":                           "Unclosed start tag",
		"a < b > c":                       "Unsupported start tag",
		"<b>a":                            "Can't find end tag",
		"a</b>":                           "Unexpected end tag",
		"<b><i>a</b></i>":                 "Unmatched end tag",
		"<b></b>":                         "message text is empty",
		strings.Repeat("&amp;", 4096):     "",
		strings.Repeat("&amp;", 4097):     "message is too long",
		strings.Repeat("😀", 2048):         "",
		strings.Repeat("😀", 2048) + "<b>": "Can't find end tag",
		strings.Repeat("😀", 2049):         "message is too long",
	} {
		s := newServer(t)
		status, description := sendText(t, s, "1", text, "HTML")
		if want == "" && status != 200 || want != "" && (status != 400 || !strings.Contains(description, want)) {
			t.Errorf("%.30q: %d %s, want %q", text, status, description, want)
		}
	}
	s := newServer(t)
	if status, _ := sendText(t, s, "1", "<script> is text here", ""); status != 200 {
		t.Errorf("plain text: %d", status)
	}
}

func TestAnswersOnDemand(t *testing.T) {
	s := newServer(t)
	s.Next("1", TooMany(3*time.Second), Forbidden(BotBlocked), Broken(502))
	s.Next("", NotFound())
	s.Always("2", BadRequest(ChatNotFound))
	for i, want := range []int{429, 403, 502, 404, 200} {
		if status, _ := sendText(t, s, "1", "x", ""); status != want {
			t.Errorf("call %d: %d, want %d", i, status, want)
		}
	}
	for range 2 {
		if status, d := sendText(t, s, "2", "x", ""); status != 400 || d != ChatNotFound {
			t.Errorf("%d %s", status, d)
		}
	}
	s.Always("2", OK())
	if status, _ := sendText(t, s, "2", "x", ""); status != 200 {
		t.Errorf("mended: %d", status)
	}
	if s.Calls("1") != 5 || s.Calls("2") != 3 || len(s.Messages()) != 2 {
		t.Errorf("%d and %d calls, %d messages", s.Calls("1"), s.Calls("2"), len(s.Messages()))
	}
}

func TestConnectionsThatBreak(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   Answer
		accepted int
	}{"drop": {Drop(), 0}, "accept and drop": {AcceptAndDrop(), 1}} {
		s := newServer(t)
		s.Next("1", tt.answer)
		resp, err := http.Post(s.URL()+"/bot"+Token+"/sendMessage", "application/json", strings.NewReader(`{"chat_id":1,"text":"x"}`))
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %d", name, resp.StatusCode)
		}
		if n := len(s.Messages()); n != tt.accepted {
			t.Errorf("%s: %d messages", name, n)
		}
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	s := New()
	s.Next("", Hang())
	ended := make(chan error)
	go func() {
		resp, err := http.Post(s.URL()+"/bot"+Token+"/sendMessage", "application/json", strings.NewReader(`{"chat_id":1,"text":"x"}`))
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	if err := s.WaitForCalls(t.Context(), "1", 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if err := <-ended; err == nil {
		t.Error("answered")
	}
}

func TestWaitFor(t *testing.T) {
	s := newServer(t)
	seen := make(chan Message, 1)
	s.Watch(func(m Message) { seen <- m })
	got := make(chan []Message)
	go func() {
		all, err := s.WaitFor(t.Context(), Containing("one", "two"))
		if err != nil {
			t.Error(err)
		}
		got <- all
	}()
	sendText(t, s, "1", "this is one", "")
	if m := <-seen; m.Text != "this is one" {
		t.Errorf("watched %+v", m)
	}
	s.Watch(nil)
	sendText(t, s, "1", "and two", "")
	if all := <-got; len(all) != 2 {
		t.Errorf("%d messages", len(all))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.WaitFor(ctx, AtLeast(3)); err == nil {
		t.Error("three messages")
	}
}

func TestUnknownChatsAreRefused(t *testing.T) {
	s := newServer(t)
	s.Know("1", "-5")
	for chat, want := range map[string]int{"1": 200, "-5": 200, "2": 400} {
		if status, d := sendText(t, s, chat, "x", ""); status != want {
			t.Errorf("%s: %d %s", chat, status, d)
		}
	}
}

// Only four names are entities; all else stays as it is, and counts as it is.
func TestEntities(t *testing.T) {
	s := newServer(t)
	if status, d := sendText(t, s, "1", "&lt;&gt;&amp;&quot;&#65;&#x42;&nbsp;&copy;", "HTML"); status != 200 {
		t.Fatal(d)
	}
	if got := s.Messages()[0].Plain; got != `<>&"AB&nbsp;&copy;` {
		t.Errorf("%q", got)
	}
}

func TestButtonsAndRepliesAreChecked(t *testing.T) {
	s := newServer(t)
	for name, tt := range map[string]struct {
		more string
		want int
	}{
		"64 bytes":         {`"reply_markup":{"inline_keyboard":[[{"text":"a","callback_data":"` + strings.Repeat("x", 64) + `"}]]}`, 200},
		"65 bytes":         {`"reply_markup":{"inline_keyboard":[[{"text":"a","callback_data":"` + strings.Repeat("x", 65) + `"}]]}`, 400},
		"33 letters":       {`"reply_markup":{"inline_keyboard":[[{"text":"a","callback_data":"` + strings.Repeat("ж", 33) + `"}]]}`, 400},
		"no data":          {`"reply_markup":{"inline_keyboard":[[{"text":"a"}]]}`, 400},
		"no such reply":    {`"reply_parameters":{"message_id":99}`, 400},
		"a reply or alone": {`"reply_parameters":{"message_id":99,"allow_sending_without_reply":true}`, 200},
	} {
		status, out := post(t, s, "sendMessage", "application/json", strings.NewReader(`{"chat_id":1,"text":"x",`+tt.more+`}`))
		if status != tt.want {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}

func TestOffsetsOfUpdates(t *testing.T) {
	s := newServer(t)
	get := func(query string) []any {
		_, out := post(t, s, "getUpdates?"+query, "application/x-www-form-urlencoded", nil)
		return out["result"].([]any)
	}
	for range 3 {
		s.Say("1", 0, "bob", "x")
	}
	for _, tt := range []struct {
		query string
		want  int
	}{{"", 3}, {"limit=2", 2}, {"offset=2", 2}, {"", 2}, {"offset=-1", 1}, {"offset=4", 0}} {
		if got := get(tt.query); len(got) != tt.want {
			t.Errorf("%q: %d updates, want %d", tt.query, len(got), tt.want)
		}
	}
}
