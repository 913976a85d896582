package notifier

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing/tracingtest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// parentOf is a traceparent whose span is told by a digit.
func parentOf(digit string) string {
	return "00-" + strings.Repeat(digit, 32) + "-" + strings.Repeat(digit, 16) + "-01"
}

// One message that tells of two traces is noted in both, each attempt with what became of it. The request is a part of the
// first; the other one leads there.
func TestAMessageIsNotedInTheTracesOfItsAlerts(t *testing.T) {
	c := tracingtest.New()
	t.Cleanup(c.Close)
	tracer, err := tracing.New(tracing.Exporting{TracesEndpoint: c.URL()}, tracing.Options{Service: "notifier"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	fake, ev := newFake(t), newEvaluator(t, store)
	fake.Always("7", telegramtest.Broken(502))
	down := func(id string) node.Event {
		return node.Event{Kind: node.Changed, NodeID: id, From: node.Up, To: node.Down, Reason: "no_screen"}
	}
	events := []node.Event{down("one"), down("two"), down("three"), down("four")}
	ev.commit(t, events...)
	if err := store.AddTraces(t.Context(), []nodestore.EventTrace{
		{Event: events[0].ID, Parent: parentOf("1")}, {Event: events[1].ID, Parent: parentOf("2")}, {Event: events[3].ID, Parent: "nonsense"},
	}); err != nil {
		t.Fatal(err)
	}
	hook := newHookServer(t)
	cfg := Config{
		Token: telegramtest.Token, ChatIDs: ChatList{"7"}, TelegramURL: fake.URL(), Language: "en", TZ: "UTC",
		WebhookURL: settings.Secret(hook.url + "/a-secret-path"),
	}
	o := Options{ID: "a", Store: store, Timing: quick, Tracer: tracer}
	closeSender, err := cfg.Apply(&o, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, closeSender)
	if err := fake.WaitForCalls(t.Context(), "7", 1); err != nil {
		t.Fatal(err)
	}
	fake.Always("7", telegramtest.OK())
	arrived(t, fake, "one", "two")
	hook.wait(t, 1)
	stop()
	tracer.Close()

	all := c.Spans()
	tells := func(digit, chat string) (out []tracingtest.Span) {
		for _, s := range all {
			if s.Name == "tell" && s.Parent == strings.Repeat(digit, 16) && s.Attrs["gensyn.chat"] == chat {
				out = append(out, s)
			}
		}
		return out
	}
	requests := func(of tracingtest.Span) (out []tracingtest.Span) {
		for _, s := range all {
			if s.Parent == of.ID && s.Kind == "CLIENT" && s.Trace == of.Trace {
				out = append(out, s)
			}
		}
		return out
	}
	first, second := tells("1", "7"), tells("2", "7")
	if len(first) < 2 || len(first) != len(second) {
		t.Fatalf("%d attempts in the first trace, %d in the second: %+v", len(first), len(second), all)
	}
	for i, tell := range first {
		status, ok := "502", i == len(first)-1
		if ok {
			status = "200"
		}
		r := requests(tell)
		if len(r) != 1 || r[0].Name != "sendMessage" || r[0].Attrs["http.response.status_code"] != status || (r[0].Failure == "") != ok {
			t.Errorf("attempt %d made the requests %+v", i, r)
		}
		other := second[i]
		if (tell.Failure == "") != ok || (other.Failure == "") != ok || len(requests(other)) != 0 {
			t.Errorf("attempt %d: %+v, in the other trace %+v", i, tell, other)
		}
		if !slices.Equal(other.Links, []string{tell.ID}) || !slices.Equal(tell.Links, []string{strings.Repeat("2", 16)}) {
			t.Errorf("attempt %d leads to %q, in the other trace to %q", i, tell.Links, other.Links)
		}
		id := fmt.Sprint(fake.Messages()[0].ID)
		if ok && (tell.Attrs["messaging.message.id"] != id || other.Attrs["messaging.message.id"] != id) {
			t.Errorf("message %s is noted as %+v, in the other trace as %+v", id, tell, other)
		}
	}
	if hooked := tells("1", "webhook"); len(hooked) != 1 || len(requests(hooked[0])) != 1 || requests(hooked[0])[0].Name != "webhook" {
		t.Errorf("the webhook: %+v", hooked)
	}
	if text := fmt.Sprint(all); strings.Contains(text, telegramtest.Token) || strings.Contains(text, "a-secret-path") {
		t.Error("a span holds a secret")
	}
}

// Without a tracer an attempt costs nothing more, and the database is not asked.
func TestUntracedMessagesCostNothing(t *testing.T) {
	w := &teller{chat: &chat{o: Options{}}}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		out, traced := w.traced(ctx, nodestore.Notification{})
		traced.end(1, nil)
		if out != ctx {
			t.Error("a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if tracedClient(nil, postName) != nil {
		t.Error("a client of its own")
	}
}
