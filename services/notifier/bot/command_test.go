package bot

import (
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// said is an update with a message in a group's topic.
func said(text string) telegram.Update {
	return telegram.Update{ID: 9, Message: &telegram.Incoming{
		ID: 41, Thread: 7, Topic: true, Date: noon.Unix(), Text: text, From: telegram.User{ID: 5, Username: "bob"},
		Chat: telegram.ChatInfo{ID: -1005, Type: "supergroup", Username: "rigs"},
	}}
}

func pressed(data string) telegram.Update {
	return telegram.Update{ID: 9, Pressed: &telegram.Pressed{
		ID: "p1", Data: data, From: telegram.User{ID: 5, Name: "Ann  Lee"}, Message: said("").Message,
	}}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{ // name|target|span
		"/status":                  "status||",
		"/status@Fake_Bot":         "status||",
		"/STATUS now":              "status|now|",
		"/help":                    "help||",
		"/start":                   "start||",
		"/node rig-7":              "node|rig-7|",
		"/node  rig 7 ":            "node|rig 7|",
		"/silence rig-7 2h":        "silence|rig-7|2h",
		"/silence rig 7 2h":        "silence|rig 7|2h",
		"/silence@fake_bot all 1d": "silence|all|1d",
		"/silence rig-7":           "silence|rig-7|",
		"/silence":                 "silence||",
		"/unsilence dc=home":       "unsilence|dc=home|",
		"/status@other_bot":        "",
		"/stat":                    "",
		"status":                   "",
		"hello /status":            "",
		"":                         "",
		"/":                        "",
		"/acknowledge":             "", // there is a button for it, and no such command
		"/hush":                    "",
	} {
		c, ok := parse(said(text), "fake_bot")
		got := ""
		if ok {
			got = c.name + "|" + c.target + "|" + c.span
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if ok && (c.by != "@bob" || c.topic() != "-1005:7" || c.message != 41 || c.update != 9 || !c.at.Equal(noon)) {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func TestParsePressed(t *testing.T) {
	for data, want := range map[string]string{"a:12": "acknowledge", "s:9007199254740993": "hush", "a:": "", "a:x": "", "x:1": "", "": ""} {
		c, ok := parse(pressed(data), "fake_bot")
		if ok != (want != "") || c.name != want || ok && (c.pressed != "p1" || c.by != "Ann Lee" || c.notification == 0 || c.message != 41) {
			t.Errorf("%q: %+v, %v", data, c, ok)
		}
	}
	old := pressed("a:1")
	old.Pressed.Message = nil
	if _, ok := parse(old, "fake_bot"); ok {
		t.Error("a button under a message that Telegram does not know any more")
	}
	if _, ok := parse(telegram.Update{ID: 1}, "fake_bot"); ok {
		t.Error("an update of another kind")
	}
}

// Outside of forums a thread is an answer to a message, and nothing can be sent to it.
func TestAThreadIsATopicInForumsAlone(t *testing.T) {
	u := said("/status")
	u.Message.Topic = false
	if c, _ := parse(u, "fake_bot"); c.topic() != "-1005" {
		t.Errorf("answered in %s", c.topic())
	}
}

// The largest number there is fits a button in both languages.
func TestButtonDataFits(t *testing.T) {
	for language := range catalogue {
		for _, row := range Buttons(language, 1<<63-1) {
			for _, b := range row {
				if len(b.Data) > telegram.MaxButtonData || b.Data == "" || b.Text == "" {
					t.Errorf("%+v", b)
				}
			}
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1m": time.Minute, "90m": 90 * time.Minute, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "1d12h": 36 * time.Hour,
		"2H": 2 * time.Hour, "2ч": 2 * time.Hour, "30мин": 30 * time.Minute, "1д2ч": 26 * time.Hour, "31d": 31 * 24 * time.Hour,
		"": 0, "0m": 0, "2": 0, "h": 0, "2x": 0, "-2h": 0, "2 h": 0, "32d": 0, "99999999999999999999h": 0, "44641m": 0,
		"2hh": 0, "1.5h": 0, "30s": 0, strings.Repeat("31d", 5): 0,
	} {
		got, ok := parseSpan(text)
		if ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func TestWhereCommandsAreTaken(t *testing.T) {
	c, _ := parse(said("/status"), "fake_bot")
	for _, tt := range []struct {
		chats []string
		want  bool
	}{
		{[]string{"-1005"}, true}, {[]string{"1", "-1005:9"}, true}, {[]string{"@RIGS"}, true}, {[]string{"@rigs:3"}, true},
		{[]string{"-5", "-10051"}, false}, {[]string{"@bob"}, false}, {nil, false}, {[]string{"webhook", "log"}, false},
	} {
		if got := c.allowed(tt.chats); got != tt.want {
			t.Errorf("%q: %v", tt.chats, got)
		}
	}
	// Everybody may call themselves like a group; only groups have a public name that counts.
	private := said("/status")
	private.Message.Chat = telegram.ChatInfo{ID: 66, Type: "private", Username: "rigs"}
	if c, _ := parse(private, "fake_bot"); c.allowed([]string{"@rigs"}) {
		t.Error("a person with the name of a group")
	}
}
