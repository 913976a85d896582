package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func TestBanners(t *testing.T) {
	chat := func(c nodestore.ChatStatus) func(*nodestore.Status) {
		return func(s *nodestore.Status) { s.Chats = []nodestore.ChatStatus{{Chat: "log"}, c} }
	}
	const notSetUp = "Telegram is not set up: nobody is told when a node stops. Set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID."
	for _, tt := range []struct {
		name   string
		change func(s *nodestore.Status)
		en, ru []string
	}{
		{"all is well", func(*nodestore.Status) {}, nil, nil},
		{
			"no commit", func(s *nodestore.Status) { s.CommittedAge = 2 * time.Minute },
			[]string{"The data is 2 minutes old: the evaluator has stopped, or cannot write."},
			[]string{"Данные устарели на 2 минуты: evaluator остановился или не может записать."},
		},
		{
			"no message", func(s *nodestore.Status) { s.Clock.Position.Stamp = ago(61 * time.Second) },
			[]string{"The newest message is 1 minute old: ingest or NATS has stopped, or the evaluator is catching up."},
			[]string{"Новых сообщений нет уже 1 минуту: остановился ingest или NATS, или evaluator навёрстывает отставание."},
		},
		{
			"no evaluator", func(s *nodestore.Status) { s.Term = 0; s.CommittedAge = time.Hour },
			[]string{english.Never}, []string{russian.Never},
		},
		{
			"deaf", func(s *nodestore.Status) {
				s.Clock.Deaf, s.Clock.Accepted = true, ago(time.Hour)
				s.Clock.Refused = map[string]int{"413": 3, "401": 412}
			},
			[]string{"Nothing is heard from any node since 2026-03-01 11:00:00 UTC: the network, the proxy, the certificate or " +
				"the secret in front of the monitor may be at fault. Refused since then: 412 × 401, 3 × 413."},
			[]string{"Ни от одного узла нет сигнала с 2026-03-01 11:00:00 UTC: возможно, дело в сети, прокси, сертификате или " +
				"секрете перед монитором. С тех пор отклонено: 412 × 401, 3 × 413."},
		},
		{
			"too many nodes", func(s *nodestore.Status) { s.Clock.Overflow = 1 },
			[]string{"1 heartbeat of an unknown node was not stored, because there are MAX_NODES nodes already."},
			[]string{"Не сохранён 1 сигнал неизвестного узла: узлов уже MAX_NODES."},
		},
		{"no chat", func(s *nodestore.Status) { s.Chats = nil }, []string{notSetUp}, []string{russian.NotSetUp}},
		{"only the log", func(s *nodestore.Status) {
			s.Chats = []nodestore.ChatStatus{{Chat: "-100123"}, {Chat: "log", Active: true}}
		}, []string{notSetUp}, []string{russian.NotSetUp}},
		{"notifier away", chat(nodestore.ChatStatus{Chat: "-100123"}), []string{english.NoNotifier}, []string{russian.NoNotifier}},
		{
			"telling fails", chat(nodestore.ChatStatus{
				Chat: "-1001234", Active: true, LastError: "the bot was blocked by the user.", Waiting: 3, Oldest: noon.Add(-5 * time.Minute),
			}),
			[]string{"Alerts do not reach chat …1234: the bot was blocked by the user. 3 alerts are waiting to be told, the oldest for 5 minutes."},
			[]string{"Оповещения не доходят в чат …1234: the bot was blocked by the user. Оповещения ждут отправки: 3, самое старое — уже 5 минут."},
		},
		{
			"alerts wait", chat(nodestore.ChatStatus{Chat: "@me", Active: true, Waiting: 1, Oldest: noon.Add(-2 * time.Hour)}),
			[]string{"1 alert is waiting to be told, the oldest for 2 hours."},
			[]string{"Оповещение ждёт отправки: 1, самое старое — уже 2 часа."},
		},
		{"alerts are on their way", chat(nodestore.ChatStatus{Chat: "@me", Active: true, Waiting: 1, Oldest: noon.Add(-3 * time.Second)}), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status := healthy()
			tt.change(&status)
			snap := &standing{at: noon, status: status}
			for w, want := range map[*words][]string{&english: tt.en, &russian: tt.ru} {
				var got []string
				for _, b := range snap.banners(w) {
					got = append(got, b.Text)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", w.Lang, got, want)
				}
			}
		})
	}
}

func TestGraveBannersAreSaid(t *testing.T) {
	store := newFakeStore(sample()...)
	store.status.CommittedAge = time.Minute
	w := do(newService(t, store), "GET", "/")
	wantText(t, w, `class="banner grave"`, `1 up. The data is 1 minute old`)
	if n := strings.Count(w.Body.String(), `class="banner`); n != 1 {
		t.Errorf("%d banners", n)
	}
}
