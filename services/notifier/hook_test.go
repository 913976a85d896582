package notifier

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/webhook"
)

// hookServer is a receiver of webhooks that answers with these statuses in turn, then 204.
type hookServer struct {
	url string

	mu       sync.Mutex
	statuses []int
	keys     []string
	taken    []webhook.Notification
}

func newHookServer(t *testing.T, statuses ...int) *hookServer {
	t.Helper()
	h := &hookServer{statuses: statuses}
	s := httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *hookServer) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, r.Header.Get(webhook.HeaderKey))
	if len(h.statuses) > 0 {
		w.WriteHeader(h.statuses[0])
		h.statuses = h.statuses[1:]
		return
	}
	var n webhook.Notification
	if err := json.Unmarshal(body, &n); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.taken = append(h.taken, n)
	w.WriteHeader(http.StatusNoContent)
}

func (h *hookServer) got() (taken []webhook.Notification, keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(taken, h.taken...), append(keys, h.keys...)
}

// wait waits until n notifications were taken.
func (h *hookServer) wait(t *testing.T, n int) []webhook.Notification {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		taken, _ := h.got()
		if len(taken) >= n {
			return taken
		}
		select {
		case <-deadline:
			t.Fatalf("%d of %d notifications", len(taken), n)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// hooked is a notifier with a webhook and, unless fake is nil, a Telegram; it runs to the end of the test.
func hooked(t *testing.T, store nodestore.Deliveries, h *hookServer, fake *telegramtest.Server) {
	t.Helper()
	c := Config{WebhookURL: settings.Secret(h.url), Language: "en", TZ: "UTC"}
	if fake != nil {
		c.Token, c.TelegramURL, c.ChatIDs = telegramtest.Token, fake.URL(), ChatList{"7"}
	}
	o := Options{ID: "a", Store: store, Timing: quick}
	closeSender, err := c.Apply(&o, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, closeSender)
}

func TestTheWebhookIsToldBesideTelegram(t *testing.T) {
	fake, store, h := newFake(t), newMemory(), newHookServer(t, 503, 410, 500)
	fake.Always("7", telegramtest.Forbidden(telegramtest.BotBlocked))
	store.commit(downs(3)...)
	hooked(t, store, h, fake)
	told(t, store, webhook.Chat, 3) // though Telegram refuses
	fake.Always("7", telegramtest.OK())
	told(t, store, "7", 3)
	taken, keys := h.got()
	if len(taken) != 1 || len(taken[0].Alerts) != 3 || taken[0].Kind != webhook.Alerts || taken[0].ID == "" {
		t.Fatalf("taken: %+v", taken)
	}
	if a := taken[0].Alerts[0]; a.NodeID != "node-000" || a.To != "down" || a.Kind != "changed" || a.At.IsZero() || a.Found.IsZero() {
		t.Errorf("alert: %+v", a)
	}
	if len(keys) != 4 || keys[0] != taken[0].ID || keys[0] != keys[3] {
		t.Errorf("keys %q of one notification %s", keys, taken[0].ID)
	}
	if all := fake.Messages(); len(all) != 1 || all[0].ParseMode != "HTML" {
		t.Errorf("Telegram: %+v", all)
	}
	reliability.Report(t, reliability.Row{
		Group: "Telegram", Fault: "the webhook answers 503, 410 and 500 while Telegram refuses", Rounds: 1,
		Must: "neither waits for the other; nothing is lost, and each post has the notification's one key",
		Seen: fmt.Sprintf("%d alerts in %d notification after %d posts, told while Telegram refused; the same %d alerts in 1 message when it was mended",
			len(taken[0].Alerts), len(taken), len(keys), store.told("7")),
	})
}

func TestTheWebhookAloneIsTold(t *testing.T) {
	store, h := newMemory(), newHookServer(t)
	store.commit(node.Event{Kind: node.Deaf, Meta: "dc=home,gpu=h100 x;dc=away", Since: stamp(noon), Lasted: 90 * time.Second, Nodes: 25, Refused: map[string]int{"401": 4}})
	hooked(t, store, h, nil)
	told(t, store, webhook.Chat, 1)
	taken, _ := h.got()
	if a := taken[0].Alerts[0]; a.LastedSec != 90 || a.Nodes != 25 || a.Refused["401"] != 4 || !a.Since.Equal(noon) || a.NodeID != "" || len(a.Labels) != 2 || a.Labels["dc"] != "away" {
		t.Errorf("%+v", a)
	}
}

// hooks is the notification of a telling.
func hooks(t *testing.T, telling Telling) (n webhook.Notification, text string) {
	t.Helper()
	text, err := hookRenderer("https://nodes.example.org")(telling)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return n, text
}

// Entries that fit are posted whole; more are counted, and bounded.
func TestOneNotificationToTheWebhookIsBounded(t *testing.T) {
	alerts := make([]nodestore.Alert, hookMost+1)
	for i := range alerts {
		e := aNode(node.Event{Kind: node.Changed, To: node.Lost, Reason: "silent"})
		e.NodeID = fmt.Sprint("rig-", i)
		alerts[i] = alertOf(e)
	}
	few, text := hooks(t, gather(alerts[:hookMost], stamp(noon)))
	if few.Kind != webhook.Alerts || len(few.Alerts) != hookMost || few.Digest != nil || len(text) > 300<<10 {
		t.Errorf("%s, %d alerts, %d bytes", few.Kind, len(few.Alerts), len(text))
	}
	many := gather(alerts, stamp(noon))
	many.Lost, many.Nodes = hookMost+1, hookMost+2
	n, text := hooks(t, many)
	if n.Kind != webhook.Digest || len(n.Alerts) != digestNames || !n.Suspect || len(text) > 10<<10 {
		t.Errorf("%s, %d alerts, %d bytes", n.Kind, len(n.Alerts), len(text))
	}
	if d := n.Digest; d.Alerts != hookMost+1 || d.Entries != hookMost+1 || d.States["lost"] != hookMost+1 || d.Reasons["silent"] != hookMost+1 {
		t.Errorf("%+v", d)
	}
	loaded := Telling{At: stamp(noon), Digest: many.Digest} // too many to be loaded: the store counted them
	if n, _ := hooks(t, loaded); n.Kind != webhook.Digest || n.Digest.Entries != hookMost+1 {
		t.Errorf("%+v", n)
	}
}

func TestWhatTheWebhookIsTold(t *testing.T) {
	down := alertOf(aNode(node.Event{Kind: node.Changed, From: node.Up, To: node.Down, Meta: "dc=home"}))
	up := alertOf(aNode(node.Event{Kind: node.Changed, From: node.Down, To: node.Up, At: stamp(noon.Add(time.Minute))}))
	up.Mark = nodestore.Flapped
	n, _ := hooks(t, gather([]nodestore.Alert{down, up}, stamp(noon.Add(time.Hour))))
	if a := n.Alerts[0]; len(n.Alerts) != 1 || !a.Back || a.Changes != 2 || !a.First.Equal(noon) || a.Mark != "flapped" || a.To != "up" {
		t.Errorf("an outcome: %+v", n)
	}
	f := nodestore.Failing{NodeID: "rig-7", Meta: "dc=home", State: node.Lost, Reason: "silent", Since: stamp(noon.Add(time.Minute)), Incident: stamp(noon)}
	n, _ = hooks(t, Telling{At: stamp(noon.Add(time.Hour)), Still: &Still{Nodes: []nodestore.Failing{f}, Counts: map[node.State]int{node.Lost: 30}}})
	if a := n.Alerts[0]; n.Kind != webhook.Reminder || a.LastedSec != 3600 || !a.Since.Equal(noon) || a.Labels["dc"] != "home" || n.Digest.States["lost"] != 30 || n.Digest.Entries != 30 {
		t.Errorf("a reminder: %+v", n)
	}
	n, _ = hooks(t, Telling{At: stamp(noon), Summary: &Summary{From: stamp(noon.Add(-24 * time.Hour)), To: stamp(noon), Uptime: 0.5,
		Counts: map[node.State]int{node.Up: 3, node.Down: 1}, Worst: []NodeUptime{{"rig-7", "Seven", 0.25}}}})
	if n.Kind != webhook.Daily || n.Summary.Uptime != 0.5 || n.Summary.Worst[0].NodeID != "rig-7" || n.Digest.Entries != 4 || !n.Summary.To.Equal(noon) {
		t.Errorf("a summary: %+v", n)
	}
	d := hookDigest(nodestore.Digest{Counts: []nodestore.DigestCount{{Kind: node.Changed, To: node.Up, Back: true, Entries: 4},
		{Kind: node.Changed, To: node.Up, Entries: 3}, {Kind: node.Joined, To: node.Up, Entries: 2}, {Kind: node.Deaf, Entries: 1}}})
	if d.States["back"] != 4 || d.States["up"] != 5 || d.States["deaf"] != 1 || len(d.States) != 3 {
		t.Errorf("a digest: %+v", d)
	}
}
