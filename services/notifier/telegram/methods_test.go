package telegram_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

func TestMe(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	if me, err := c.Me(t.Context()); err != nil || me.Username != telegramtest.BotName || me.ID == 0 {
		t.Errorf("%+v, %v", me, err)
	}
	fake.Only("5:other")
	if _, err := c.Me(t.Context()); !telegram.IsFault(err, telegram.TokenWrong) {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestChat(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	fake.Know("-1005", "7", "@team")
	for chat, title := range map[string]string{"-1005:3": "Group -1005", "7": "", "@team": "Group @team"} {
		if info, err := c.Chat(t.Context(), chat); err != nil || info.Title != title || info.ID == 0 {
			t.Errorf("%s: %+v, %v", chat, info, err)
		}
	}
	if _, err := c.Chat(t.Context(), "-9"); !telegram.IsFault(err, telegram.ChatNotFound) {
		t.Errorf("an unknown chat: %v", err)
	}
	if _, err := c.Chat(t.Context(), "x"); !telegram.IsFault(err, telegram.Malformed) {
		t.Errorf("no chat: %v", err)
	}
}

func TestButtonsArriveAndAreReplaced(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	ask := [][]telegram.Button{{{Text: "Acknowledge", Data: "a:1:0:2:3"}, {Text: "Silence 1 h", Data: "s"}}}
	id, err := c.SendMessage(t.Context(), telegram.Message{Chat: "-5", HTML: "<b>x</b>", Buttons: ask})
	if err != nil {
		t.Fatal(err)
	}
	if got := fake.Messages()[0].Buttons; !reflect.DeepEqual(got, [][]telegramtest.Button{{{Text: "Acknowledge", Data: "a:1:0:2:3"}, {Text: "Silence 1 h", Data: "s"}}}) {
		t.Errorf("buttons %+v", got)
	}
	done := [][]telegram.Button{{{Text: "Acknowledged by bob", Data: "-"}}}
	for range 2 { // that it is so already is no error
		if err := c.EditButtons(t.Context(), "-5", id, done); err != nil {
			t.Fatal(err)
		}
	}
	if got := fake.Messages()[0].Buttons; len(got) != 1 || got[0][0].Text != "Acknowledged by bob" {
		t.Errorf("buttons %+v", got)
	}
	if err := c.EditButtons(t.Context(), "-5", id, nil); err != nil || len(fake.Messages()[0].Buttons) != 0 {
		t.Errorf("taken away: %v, %+v", err, fake.Messages()[0].Buttons)
	}
	if err := c.EditButtons(t.Context(), "-5", 99, done); err == nil {
		t.Error("no such message: no error")
	}
}

func TestUpdatesComeOnceTheyAreConfirmedByTheNextOffset(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	first := fake.Say("-5", 7, "bob", "/status")
	got, err := c.Updates(t.Context(), 0, 0)
	if err != nil || len(got) != 1 || got[0].ID != first {
		t.Fatalf("%+v, %v", got, err)
	}
	m := got[0].Message
	if m.Text != "/status" || m.Chat.ID != -5 || m.Thread != 7 || m.From.Username != "bob" || m.Date == 0 {
		t.Errorf("%+v", m)
	}
	if again, err := c.Updates(t.Context(), first, 0); err != nil || len(again) != 1 {
		t.Errorf("not confirmed: %+v, %v", again, err)
	}
	if after, err := c.Updates(t.Context(), first+1, 0); err != nil || len(after) != 0 || fake.Unconfirmed() != 0 {
		t.Errorf("confirmed: %+v, %v", after, err)
	}
	id, err := c.Send(t.Context(), "-5", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	pressed := fake.Press(id, "ann", "a:1")
	got, err = c.Updates(t.Context(), first+1, 0)
	if err != nil || len(got) != 1 || got[0].Pressed == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if p := got[0].Pressed; p.ID != pressed || p.Data != "a:1" || p.From.Username != "ann" || p.Message.ID != id || p.Message.Chat.ID != -5 {
		t.Errorf("%+v", p)
	}
	if err := c.Answer(t.Context(), pressed, "Acknowledged"); err != nil {
		t.Fatal(err)
	}
	if text, ok := fake.Answered(pressed); !ok || text != "Acknowledged" {
		t.Errorf("answered %q, %v", text, ok)
	}
}

func TestUpdatesAreWaitedFor(t *testing.T) {
	fake, _ := fakeAndClient(t, zerolog.Nop())
	c := impatient(t, 300*time.Millisecond, fake.URL(), telegramtest.Token, zerolog.Nop())
	got := make(chan []telegram.Update)
	go func() {
		updates, err := c.Updates(t.Context(), 0, 20*time.Second) // longer than the time-out of other calls
		if err != nil {
			t.Error(err)
		}
		got <- updates
	}()
	for fake.Polls() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(600 * time.Millisecond) // other calls would have been given up by now
	fake.Say("-5", 0, "bob", "/help")
	if updates := <-got; len(updates) != 1 {
		t.Errorf("%+v", updates)
	}
}

func TestASecondPollerIsAConflict(t *testing.T) {
	fake, c := fakeAndClient(t, zerolog.Nop())
	ended := make(chan error)
	go func() {
		_, err := c.Updates(t.Context(), 0, 20*time.Second)
		ended <- err
	}()
	for fake.Polls() == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Updates(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	var e *telegram.Error
	if !errors.As(err, &e) || e.Fault != telegram.Conflict || e.Permanent {
		t.Errorf("%+v", err)
	}
}

// An update of an unknown form must not come again for ever.
func TestAnUpdateThatCannotBeReadIsPassed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ok":true,"result":[{"update_id":8,"message":{"chat":"odd"}},{"update_id":9,"message":{"text":"x"}}]}`))
	}))
	defer s.Close()
	got, err := clientOf(t, s.URL, "1:T", zerolog.Nop()).Updates(context.Background(), 0, 0)
	if err != nil || len(got) != 2 || got[0].ID != 8 || got[0].Message != nil || got[1].Message.Text != "x" {
		t.Errorf("%+v, %v", got, err)
	}
}
