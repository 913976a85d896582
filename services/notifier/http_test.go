package notifier

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// quick is for tests on a real network, in real time.
var quick = Timing{
	Lease: time.Second, Poll: 20 * time.Millisecond, RetryFirst: 10 * time.Millisecond,
	RetryMost: 50 * time.Millisecond, Refused: 30 * time.Millisecond, Gap: time.Millisecond, PerMinute: 10000,
}

// wired is a notifier on a fake Telegram that speaks the real protocol. It runs until stop, or the end of the test.
func wired(t *testing.T, fake *telegramtest.Server, store nodestore.Deliveries, chats ...string) (stop func()) {
	t.Helper()
	return patient(t, 20*time.Second, fake, store, chats...)
}

// patient is a wired notifier that waits for so long for an answer.
func patient(t *testing.T, patience time.Duration, fake *telegramtest.Server, store nodestore.Deliveries, chats ...string) (stop func()) {
	t.Helper()
	client := telegram.New(telegram.Options{URL: fake.URL(), Token: telegramtest.Token, Timeout: patience})
	timing := quick
	timing.Send = 2 * patience
	s, err := New(Options{ID: "a", Store: store, Sender: client, Chats: chats, Timing: timing, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, client.Close)
}

// run runs a notifier until stop, or the end of the test; then it closes what it sends with.
func run(t *testing.T, s *Service, closeSender func()) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		closeSender()
	})
	t.Cleanup(stop)
	return stop
}

func newFake(t *testing.T) *telegramtest.Server {
	t.Helper()
	fake := telegramtest.New()
	t.Cleanup(fake.Close)
	return fake
}

// told waits until all n alerts are recorded as told.
func told(t *testing.T, store *memory, chat string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for store.told(chat) < n {
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d alerts told", store.told(chat), n)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestEveryFailureOfTelegramLosesNothing(t *testing.T) {
	type answers = []telegramtest.Answer
	for name, tt := range map[string]struct {
		answers answers
		repeats int
	}{
		"429":               {answers{telegramtest.TooMany(time.Second)}, 0},
		"5xx":               {answers{telegramtest.Broken(500), telegramtest.Broken(502), telegramtest.Page(503, "<html>503")}, 0},
		"hangs":             {answers{telegramtest.Hang(), telegramtest.Hang()}, 0},
		"drops":             {answers{telegramtest.Drop(), telegramtest.Drop(), telegramtest.Drop()}, 0},
		"blocked":           {answers{telegramtest.Forbidden(telegramtest.BotBlocked), telegramtest.NotFound()}, 0},
		"accepts and drops": {answers{telegramtest.AcceptAndDrop()}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, store := newFake(t), newMemory()
			fake.Next("7", tt.answers...)
			store.commit(downs(3)...)
			patience := 20 * time.Second
			if name == "hangs" {
				patience = 2 * time.Second
			}
			patient(t, patience, fake, store, "7")
			if err := fake.WaitForCalls(t.Context(), "7", 1); err != nil {
				t.Fatal(err)
			}
			store.commit(downs(5)[3:]...)
			told(t, store, "7", 5)
			all := fake.Messages()
			for _, m := range all[:tt.repeats] {
				if m.Text != all[tt.repeats].Text {
					t.Errorf("repeated otherwise:\n%s\n%s", m.Text, all[tt.repeats].Text)
				}
			}
			var texts []sent
			for _, m := range all[tt.repeats:] {
				texts = append(texts, sent{chat: m.Chat, html: m.Text})
			}
			onceEach(t, texts, "7", 5)
			if calls := fake.Calls("7"); calls < len(tt.answers)+1 {
				t.Errorf("%d calls for %d failures", calls, len(tt.answers))
			}
		})
	}
}

func TestARefusedConnectionIsTriedAgain(t *testing.T) {
	fake := telegramtest.New()
	addr := strings.TrimPrefix(fake.URL(), "http://")
	fake.Close()
	store := newMemory()
	store.commit(downs(1)...)
	client := telegram.New(telegram.Options{URL: fake.URL(), Token: telegramtest.Token})
	refused := make(chan struct{}, 100)
	sender := senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
		id, err := client.Send(ctx, chat, html, reply)
		if err != nil {
			refused <- struct{}{}
		}
		return id, err
	})
	s, err := New(Options{ID: "a", Store: store, Sender: sender, Chats: []string{"7"}, Timing: quick, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-refused
	<-refused
	again, err := telegramtest.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	told(t, store, "7", 1)
	if n := len(again.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
	cancel()
	<-done
	client.Close()
}

// Everything that Telegram's parser could stumble over arrives as it was, as text.
func TestHostileNamesArriveAsText(t *testing.T) {
	fake, store := newFake(t), newMemory()
	names := []string{"a_b*c", "back`tick", "<script>alert(1)</script>", "a&lt;b", "[x](http://evil)", "</code></b>", `"quotes'`, "@all"}
	for _, n := range names {
		store.commit(node.Event{Kind: node.Changed, NodeID: n, Name: n + "!", From: node.Up, To: node.Down, Reason: n, Evidence: n})
	}
	wired(t, fake, store, "7")
	told(t, store, "7", len(names))
	all := fake.Messages()
	if len(all) != 1 || all[0].ParseMode != "HTML" || !all[0].NoPreview {
		t.Fatalf("messages: %+v", all)
	}
	for _, n := range names {
		if !strings.Contains(all[0].Plain, "\n❌ "+n+" ("+n+"!) DOWN: "+n+"\n") {
			t.Errorf("%q is not in\n%s", n, all[0].Plain)
		}
	}
}

func TestAMessageTelegramCannotReadHoldsUpNothing(t *testing.T) {
	fake, store := newFake(t), newMemory()
	fake.Next("7", telegramtest.BadRequest(telegramtest.CannotParse))
	store.commit(downs(1)...)
	wired(t, fake, store, "7")
	told(t, store, "7", 1)
	if m := fake.Messages(); len(m) != 1 || m[0].ParseMode != "" || !strings.Contains(m[0].Text, "node-000") {
		t.Errorf("messages: %+v", m)
	}
}

func TestChatsAndTopicsOverHTTP(t *testing.T) {
	fake, store := newFake(t), newMemory()
	fake.Always("1", telegramtest.Forbidden(telegramtest.BotBlocked))
	store.commit(downs(2)...)
	wired(t, fake, store, "1", "-100123:7", "@team")
	told(t, store, "-100123:7", 2)
	told(t, store, "@team", 2)
	byChat := make(map[string]telegramtest.Message)
	for _, m := range fake.Messages() {
		byChat[m.Chat] = m
	}
	if len(byChat) != 2 || byChat["-100123"].Thread != 7 || byChat["@team"].Thread != 0 {
		t.Errorf("messages: %+v", byChat)
	}
	fake.Always("1", telegramtest.OK())
	told(t, store, "1", 2)
}

// Chats never wait for one another: one that has blocked the bot and one that hangs delay no third, and hear of
// everything once they are mended.
func TestAChatThatFailsDelaysNoOther(t *testing.T) {
	const alerts, limit = listLines, 3 * time.Second // no more than are named
	fake, store := newFake(t), newMemory()
	fake.Always("1", telegramtest.Forbidden(telegramtest.BotBlocked))
	fake.Always("2", telegramtest.Hang())
	patient(t, 3*limit, fake, store, "1", "2", "3") // so that who waits for the hanging one is too late
	took := make([]time.Duration, alerts)
	for i, e := range downs(alerts) {
		began := time.Now()
		store.commit(e)
		told(t, store, "3", i+1)
		took[i] = time.Since(began)
	}
	blocked, hung := fake.Calls("1"), fake.Calls("2")
	if slices.Sort(took); took[alerts-1] > limit || blocked == 0 || hung == 0 {
		t.Errorf("told after %v at most, want %v; the others were tried %d and %d times", took[alerts-1], limit, blocked, hung)
	}
	fake.Always("1", telegramtest.OK())
	fake.Always("2", telegramtest.OK())
	for _, chat := range []string{"1", "2"} {
		told(t, store, chat, alerts)
	}
	var texts []sent
	for _, m := range fake.Messages() {
		texts = append(texts, sent{chat: m.Chat, html: m.Text})
	}
	for _, chat := range []string{"1", "2", "3"} {
		onceEach(t, texts, chat, alerts)
	}
	reliability.Report(t, reliability.Row{
		Group: "Telegram", Fault: "one chat answers 403 and another hangs, over HTTP", Rounds: alerts,
		Must: fmt.Sprintf("a third is told within %v; the others hear of everything once they are mended", limit),
		Seen: fmt.Sprintf("told after %v (median), %v at most; %d alerts a chat, none lost, none repeated",
			took[alerts/2].Round(time.Millisecond), took[alerts-1].Round(time.Millisecond), alerts),
	})
}
