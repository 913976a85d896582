package notifier

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// throttling answers every third call with 429.
func throttling(call int, _, _ string) error {
	if call%3 == 1 {
		return &telegram.Error{Words: "too many", RetryAfter: 3 * time.Second}
	}
	return nil
}

// within are the messages that were sent before the given time.
func within(all []sent, end time.Time) (out []sent) {
	for _, m := range all {
		if m.at.Before(end) {
			out = append(out, m)
		}
	}
	return out
}

// 10,000 nodes go down, spread over a minute as agents' heartbeats are, or all at once, while Telegram throttles.
func TestTenThousandNodesGoDown(t *testing.T) {
	nodes := 10_000
	if raceDetector { // it takes many times as long
		nodes = 2_000
	}
	for name, tt := range map[string]struct {
		commits int
		answer  func(call int, chat, html string) error
	}{
		"within a minute, every third call is answered 429 (Retry-After 3)": {120, throttling},
		"at once, every third call is answered 429 (Retry-After 3)":         {1, throttling},
		"within a minute": {120, nil},
	} {
		commits := tt.commits
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				all := names(0, nodes)
				w.add(t, "", all...)
				sender := newScript(tt.answer)
				w.run(t, "a", sender, nil)
				time.Sleep(10 * time.Second)
				began := time.Now()
				for i := range commits {
					w.set(t, node.Down, "no_screen", all[i*nodes/commits:(i+1)*nodes/commits]...)
					time.Sleep(time.Minute / 120)
				}
				time.Sleep(time.Until(began.Add(5 * time.Minute)))
				messages := sender.all()
				first := within(messages, began.Add(time.Minute))
				if len(first) == 0 || len(first) > 5 {
					t.Errorf("%d messages in the first minute, want from 1 to 5", len(first))
				}
				if sum := counted(messages); sum != nodes {
					t.Errorf("messages count %d nodes, want %d", sum, nodes)
				}
				w.wantRecord(t, "1", "t", all...)
				var at []time.Time
				for _, m := range messages {
					at = append(at, m.at)
				}
				gaps(t, "chat 1", at)
				reliability.Report(t, reliability.Row{
					Group: "Telegram", Fault: fmt.Sprintf("%d nodes are reported down %s", nodes, name),
					Must: "at most 5 messages in the first minute, counts that add up, nothing dropped from the record", Rounds: 1,
					Seen: fmt.Sprintf("%d messages in the first minute, %d in all; they count %d nodes; first after %.1f s",
						len(first), len(messages), counted(messages), messages[0].at.Sub(began).Seconds()),
				})
			})
		})
	}
}

// More than half of all nodes fall silent within a minute: the message that makes it more than half says so.
func TestTheMonitorsOwnNetworkIsSuspected(t *testing.T) {
	for what, tt := range map[string]struct {
		all, lost int
		want      string // in the last message
	}{
		"5 of 9":    {9, 5, "own network may be at fault: 5 of 9 nodes"},
		"5 of 10":   {10, 5, "!own network"},
		"4 of 4":    {4, 4, "!own network"},
		"60 of 100": {100, 60, "own network may be at fault: 60 of 100 nodes"},
	} {
		t.Run(what, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				w.add(t, "", names(0, tt.all)...)
				sender := newScript(nil)
				w.run(t, "a", sender, nil)
				for i := range tt.lost { // one by one, in a minute
					w.set(t, node.Lost, node.ReasonSilent, name(i))
					time.Sleep(time.Minute / time.Duration(tt.lost))
				}
				time.Sleep(time.Minute)
				all := sender.all()
				if tt.lost < 10 { // told one by one: nothing is summed up there
					w.set(t, node.Up, "", names(0, tt.lost)...)
					time.Sleep(10 * time.Minute)
					w.set(t, node.Lost, node.ReasonSilent, names(0, tt.lost)...)
					time.Sleep(time.Minute)
					all = sender.all()
				}
				wantTexts(t, all[len(all)-1:], []string{tt.want})
			})
		})
	}
}

// Telegram is away for three hours, in which nodes fail, come back, flap, and fail for good. Then one message tells
// each chat what came of it.
func TestAfterALongOutageTheOutcomeIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ids := names(0, 8)
		w.add(t, "", ids...)
		var off atomic.Bool
		sender := newScript(nil)
		chats := func(o *Options) {
			o.Chats, o.Reminders, o.Timing.RetryMost = []string{"1", "2"}, Reminders{time.Hour, 6 * time.Hour}, 5*time.Minute
		}
		w.run(t, "a", unsteady{sender, off.Load}, chats)
		w.set(t, node.Down, "no_screen", ids[0]) // known to be down when Telegram goes away
		time.Sleep(10 * time.Second)
		off.Store(true)
		began := time.Now()
		for time.Since(began) < 3*time.Hour {
			minute := int(time.Since(began).Minutes())
			switch {
			case minute == 5:
				w.set(t, node.Up, "", ids[0])
				w.set(t, node.Down, "port_closed_3000", ids[1])
			case minute == 10:
				w.set(t, node.Down, "no_screen", ids[2])
				w.set(t, node.Lost, node.ReasonSilent, ids[3])
			case minute == 14:
				w.set(t, node.Up, "", ids[2])
			case minute < 120 && minute%3 == 1: // flaps until the second hour
				to := node.Down
				if minute%6 == 1 {
					to = node.Up
				}
				if w.nodes[ids[4]].State != to {
					w.set(t, to, "no_p2pd", ids[4])
				}
			case minute == 150:
				w.set(t, node.Down, "no_screen", ids[5])
			}
			time.Sleep(time.Minute)
		}
		off.Store(false)
		time.Sleep(10 * time.Minute)
		changes := len(w.record(t, "1", ids[4]))
		for _, chat := range []string{"1", "2"} {
			var messages []sent
			for _, m := range sender.all() {
				if m.chat == chat {
					messages = append(messages, m)
				}
			}
			wantTexts(t, messages, []string{"<b>Gensyn node DOWN</b>", ids[0]}, []string{
				"<b>Gensyn: 3 DOWN, 1 LOST, 1 UP, 1 was down meanwhile</b>",
				"✅ <code>" + ids[0] + "</code> UP after 5 minutes",
				"❌ <code>" + ids[1] + "</code> DOWN: port 3000 is closed",
				"✅ <code>" + ids[2] + "</code> UP again, was down for 4 minutes",
				"❌ <code>" + ids[3] + "</code> LOST: silent for 3 minutes",
				"🔁 <code>" + ids[4] + "</code> was flapping: " + fmt.Sprint(changes, " changes from"), "now DOWN",
				"❌ <code>" + ids[5] + "</code> DOWN: no screen session",
				"!" + ids[6],
			})
			w.wantRecord(t, chat, "tt", ids[0], ids[2])
			w.wantRecord(t, chat, "t", ids[1], ids[3], ids[5])
			w.wantRecord(t, chat, strings.Repeat("t", changes), ids[4])
		}
		reliability.Report(t, reliability.Row{
			Group: "Telegram", Fault: "Telegram is away for 3 h while nodes fail, come back and flap", Rounds: 1,
			Must: "then one message a chat with the outcome, nothing lost, nothing told twice",
			Seen: fmt.Sprintf("1 message to each of 2 chats, %d alerts in it", changes+6+1),
		})
	}, "sqlite")
}

func TestASilenceHoldsAndItsEndTellsWhatIsStillDown(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "dc=home", names(0, 6)...)
		w.add(t, "dc=lab", names(6, 7)...)
		sender := newScript(nil)
		w.run(t, "a", sender, nil)
		w.set(t, node.Down, "no_screen", name(4), name(5)) // before it
		time.Sleep(10 * time.Second)
		w.silence(t, nodestore.ScopeLabel, "dc=home", 2*time.Hour)
		w.set(t, node.Down, "no_screen", name(0), name(1), name(6))
		time.Sleep(10 * time.Minute)
		w.set(t, node.Up, "", name(0), name(4))
		time.Sleep(time.Minute)
		wantTexts(t, sender.all(), []string{"<b>Gensyn: 2 DOWN</b>", name(4), name(5)}, []string{"<b>Gensyn node DOWN</b>", name(6)})
		w.wantRecord(t, "1", "h", name(1))
		w.wantRecord(t, "1", "hh", name(0))
		time.Sleep(2 * time.Hour)
		wantTexts(t, sender.all()[2:], []string{
			"<b>Gensyn: 1 DOWN, 1 UP</b>", "<code>" + name(1) + "</code> DOWN for 2 hours",
			"<code>" + name(4) + "</code> UP after 10 minutes", "!" + name(0),
		})
		w.wantRecord(t, "1", "uu", name(0))
		w.wantRecord(t, "1", "t", name(1), name(5), name(6))
		w.wantRecord(t, "1", "tt", name(4))
	})
}

// While Telegram is away, people see the page and silence what they work on: nothing of it is told afterwards.
func TestASilenceHoldsWhatWaitsAlready(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "dc=home", names(0, 3)...)
		w.add(t, "dc=lab", name(3))
		sender := newScript(nil)
		var off atomic.Bool
		off.Store(true)
		w.run(t, "a", unsteady{sender, off.Load}, nil)
		w.set(t, node.Down, "no_screen", name(0)) // is in a notification that was tried
		time.Sleep(10 * time.Second)
		w.set(t, node.Down, "no_screen", names(1, 4)...)
		time.Sleep(10 * time.Second)
		w.silence(t, nodestore.ScopeLabel, "dc=home", 2*time.Hour)
		time.Sleep(2 * time.Minute)
		w.wantRecord(t, "1", "h", names(0, 3)...)
		off.Store(false)
		time.Sleep(10 * time.Minute)
		wantTexts(t, sender.all(), []string{"<b>Gensyn node DOWN</b>", name(3)})
		w.set(t, node.Up, "", name(1))
		time.Sleep(2 * time.Hour)
		wantTexts(t, sender.all()[1:], []string{
			"<b>Gensyn: 2 DOWN</b>", "<code>" + name(0) + "</code> DOWN for 2 hours", "<code>" + name(2) + "</code> DOWN for 2 hours",
		})
		w.wantRecord(t, "1", "uu", name(1))
		w.wantRecord(t, "1", "t", name(0), name(2), name(3))
	})
}

func TestASilenceThatIsEndedEarlyTellsAtOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "", names(0, 300)...)
		sender := newScript(nil)
		w.run(t, "a", sender, nil)
		all := w.silence(t, nodestore.ScopeAll, "", 100*time.Hour)
		one := w.silence(t, nodestore.ScopeNode, name(7), 100*time.Hour)
		w.set(t, node.Down, "no_screen", names(0, 300)...)
		time.Sleep(time.Hour)
		wantTexts(t, sender.all())
		if err := w.store.EndSilence(t.Context(), all.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		wantTexts(t, sender.all(), []string{"<b>Gensyn: 299 DOWN</b>"})
		w.wantRecord(t, "1", "h", name(7))
		w.wantRecord(t, "1", "t", name(6), name(299))
		if err := w.store.EndSilence(t.Context(), one.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		wantTexts(t, sender.all()[1:], []string{"<b>Gensyn node still DOWN</b>", name(7), "(1 hour", "It was silenced until now."})
	})
}

// meanwhile is a store in which something happens just before the first events are collected.
type meanwhile struct {
	nodestore.Deliveries
	first func()
}

func (m *meanwhile) Collect(ctx context.Context, l nodestore.ChatLease, limit int, c nodestore.Chooser) (int, error) {
	if m.first != nil {
		m.first()
		m.first = nil
	}
	return m.Deliveries.Collect(ctx, l, limit, c)
}

// What a silence holds stays held, even if both came while a notifier was looking.
func TestASilenceThatBeginsWhileEventsAreCollected(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "", names(0, 3)...)
		sender := newScript(nil)
		looking, done := make(chan struct{}), make(chan struct{})
		store := &meanwhile{calm{w.store}, func() { close(looking); <-done }}
		w.run(t, "a", sender, func(o *Options) { o.Store = store })
		<-looking
		w.silence(t, nodestore.ScopeAll, "", time.Hour)
		w.set(t, node.Down, "no_screen", names(0, 3)...)
		close(done)
		time.Sleep(10 * time.Minute)
		wantTexts(t, sender.all())
		w.wantRecord(t, "1", "h", names(0, 3)...)
	})
}

// A notifier that was off during all of a silence tells what is still down, and nothing of what came back.
func TestAnAlertOfASilenceThatIsOver(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "", names(0, 2)...)
		sender := newScript(nil)
		long := func(o *Options) { o.Timing.Lookback = 10 * time.Hour }
		w.silence(t, nodestore.ScopeAll, "", time.Hour)
		w.set(t, node.Down, "no_screen", name(0), name(1))
		time.Sleep(10 * time.Minute)
		w.set(t, node.Up, "", name(0))
		time.Sleep(2 * time.Hour)
		w.run(t, "a", sender, long)
		time.Sleep(time.Minute)
		wantTexts(t, sender.all(), []string{"<b>Gensyn node still DOWN</b>", name(1)})
		w.wantRecord(t, "1", "uu", name(0))
	})
}

func TestAFlappingNodeIsToldOnceAndSummedUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.add(t, "", name(0), name(1))
		sender := newScript(nil)
		w.run(t, "a", sender, nil)
		flap := func(times int) {
			for range times {
				to := node.Down
				if w.nodes[name(0)].State == node.Down {
					to = node.Up
				}
				w.set(t, to, "no_screen", name(0))
				time.Sleep(5*time.Minute + time.Second) // a whole minute later the service looks by itself: which came first would be chance
			}
		}
		flap(4)
		single := []string{name(0), "!FLAPPING"}
		wantTexts(t, sender.all(), single, single, single, single)
		flap(10)
		wantTexts(t, sender.all()[4:], []string{"<b>Gensyn node FLAPPING</b>", "Now: DOWN", "every 6 hours"})
		w.wantRecord(t, "1", "ttttt"+strings.Repeat("h", 9), name(0))
		time.Sleep(24 * time.Minute)
		if n := len(sender.all()); n != 5 {
			t.Errorf("%d messages before half an hour is over", n)
		}
		time.Sleep(2 * time.Minute)
		wantTexts(t, sender.all()[5:], []string{"<b>Gensyn node was FLAPPING</b>", "Now: UP", "Changes: 9, from"})
		w.wantRecord(t, "1", strings.Repeat("t", 14), name(0))

		time.Sleep(time.Hour)
		flap(12 * 7) // seven hours
		wantTexts(t, sender.all()[6:], single, single, single, single, []string{"node FLAPPING</b>"},
			[]string{"<b>Gensyn node FLAPPING</b>", "Changes: 71, from", "every 6 hours"})
		time.Sleep(time.Hour)
		wantTexts(t, sender.all()[12:], []string{"was FLAPPING", "Changes: 8, from"})
	}, "sqlite")
}

func TestReminders(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.add(t, "", names(0, 6)...)
		sender := newScript(nil)
		w.run(t, "a", sender, func(o *Options) {
			o.Reminders, o.Timing.Poll = Reminders{time.Hour, 3 * time.Hour, 6 * time.Hour}, 5*time.Minute
		})
		w.set(t, node.Down, "no_screen", name(0))
		time.Sleep(10 * time.Second)
		w.set(t, node.Degraded, "stale_log", name(2)) // serves
		w.set(t, node.Down, "no_screen", name(3), name(4))
		time.Sleep(10 * time.Second)
		if _, err := w.store.Acknowledge(t.Context(), name(3), w.nodes[name(3)].Incident, "ann"); err != nil {
			t.Fatal(err)
		}
		w.silence(t, nodestore.ScopeNode, name(4), 20*time.Hour)
		first := len(sender.all())
		time.Sleep(13 * time.Hour)
		still := []string{"<b>Gensyn node still DOWN</b>", name(0)}
		reminders := sender.all()[first:]
		wantTexts(t, reminders, still, still, still, still)
		for i, hours := range []float64{1, 3, 6, 12} {
			after := reminders[i].at.Sub(w.nodes[name(0)].Incident.Time())
			if late := after.Hours() - hours; late < 0 || late > 0.1 || reminders[i].replyTo != 1 {
				t.Errorf("reminder %d after %v, in answer to message %d; want one after %v h, to 1", i, after, reminders[i].replyTo, hours)
			}
		}
		n := len(sender.all())
		w.set(t, node.Up, "", name(0))
		time.Sleep(10 * time.Hour)
		wantTexts(t, sender.all()[n:], []string{"<b>Gensyn node UP</b>"}, []string{"<b>Gensyn node still DOWN</b>", name(4)}) // at the end of its silence
	}, "sqlite")
}

// Whoever takes over, a reminder is told once, and after a long absence only the latest is.
func TestRemindersAcrossNotifiers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.add(t, "", name(0), name(1))
		sender := newScript(nil)
		reminding := func(o *Options) { o.Reminders = Reminders{time.Hour, 6 * time.Hour, 24 * time.Hour} }
		a := w.run(t, "a", sender, reminding)
		w.set(t, node.Down, "no_screen", name(0), name(1))
		time.Sleep(61 * time.Minute)
		if n := len(sender.all()); n != 2 {
			t.Fatalf("%d messages after an hour, want 2", n)
		}
		for i := range 5 { // replicas come and go
			b := w.run(t, fmt.Sprint("b", i), sender, reminding)
			a.stop()
			time.Sleep(20 * time.Minute)
			a = b
		}
		if n := len(sender.all()); n != 2 {
			t.Errorf("%d messages after take-overs, want 2", n)
		}
		a.stop()
		time.Sleep(49 * time.Hour) // 6 h, 24 h and 48 h are due meanwhile
		w.run(t, "c", sender, reminding)
		time.Sleep(time.Hour)
		wantTexts(t, sender.all()[2:], []string{"still 2 DOWN", "2 days 3 hours"})
	}, "sqlite")
}

func TestTheDailySummaryIsToldOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.add(t, "", names(0, 10)...)
		sender := newScript(nil)
		daily := func(o *Options) {
			o.DailySummary, o.Chats, o.Timing.Poll = TimeOfDay{true, 12, 0}, []string{"1", "2"}, 10*time.Minute
		}
		a, b := w.run(t, "a", sender, daily), w.run(t, "b", sender, daily)
		noonToday := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour) // a bubble begins at midnight
		time.Sleep(time.Until(noonToday.Add(-time.Hour)))
		w.set(t, node.Down, "no_screen", name(3))
		time.Sleep(30 * time.Minute)
		w.set(t, node.Up, "", name(3))
		time.Sleep(29 * time.Minute)
		n := len(sender.all())
		time.Sleep(5 * time.Hour)
		day := []string{"📊", "Nodes: 10 UP", "Worst:\n<code>" + name(3) + "</code> 9"}
		wantTexts(t, sender.all()[n:], day, day)
		a.stop()
		time.Sleep(24 * time.Hour)
		wantTexts(t, sender.all()[n+2:], []string{"all day"}, []string{"all day"})
		b.stop()
		time.Sleep(time.Until(noonToday.Add(48*time.Hour + 2*time.Hour))) // off at noon
		c := w.run(t, "c", sender, daily)
		time.Sleep(2 * time.Hour)
		wantTexts(t, sender.all()[n+4:], []string{"all day"}, []string{"all day"})
		c.stop()
		time.Sleep(time.Until(noonToday.Add(72*time.Hour + 4*time.Hour))) // for too long
		w.run(t, "d", sender, daily)
		time.Sleep(2 * time.Hour)
		wantTexts(t, sender.all()[n+6:])
	}, "sqlite")
}

func TestRoutesSendToTheirChats(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "dc=home", name(0))
		w.add(t, "dc=office", name(1))
		sender := newScript(nil)
		w.run(t, "a", sender, func(o *Options) {
			o.Chats, o.Everything, o.Routes = []string{"1"}, []string{"4"}, routes(t, "dc=home->2;dc=home->3")
		})
		told := func(chat string) (out []string) {
			for _, m := range sender.all() {
				if m.chat == chat {
					for _, id := range named.FindAllStringSubmatch(m.html, -1) {
						out = append(out, id[1])
					}
					if strings.Contains(m.html, "blind") {
						out = append(out, "blind")
					}
				}
			}
			return out
		}
		time.Sleep(10 * time.Second)
		w.set(t, node.Down, "no_screen", name(0), name(1))
		time.Sleep(10 * time.Second)
		w.nodes[name(0)].Meta = "dc=office" // it moved
		w.set(t, node.Up, "", name(0))
		w.put(t, node.Changes{Events: []node.Event{{Kind: node.Blind, Since: 1, Lasted: time.Hour}}})
		time.Sleep(10 * time.Second)
		for chat, want := range map[string]string{
			"1": fmt.Sprint(name(1), " ", name(0), " blind"), "2": fmt.Sprint(name(0), " ", name(0)), "3": fmt.Sprint(name(0), " ", name(0)),
			"4": fmt.Sprint(name(0), " ", name(1), " ", name(0), " blind"),
		} {
			if got := strings.Join(told(chat), " "); got != want {
				t.Errorf("chat %s was told of %s, want %s", chat, got, want)
			}
		}
	})
}

// Whoever takes over knows how much the chat was told, and keeps both of its paces.
func TestThePaceSurvivesATakeOver(t *testing.T) {
	for what, tt := range map[string]struct {
		before int // alerts in one message
		least  time.Duration
	}{"little was told": {1, time.Second}, "much was told": {21, 15 * time.Second}} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.add(t, "", names(0, 30)...)
				sender := newScript(nil)
				a := w.run(t, "a", sender, nil)
				time.Sleep(time.Second)
				w.set(t, node.Down, "no_screen", names(0, tt.before)...)
				<-sender.accepted
				time.Sleep(10 * time.Millisecond)
				told := sender.all()[0].at
				a.stop()
				w.set(t, node.Down, "no_screen", name(29))
				w.run(t, "b", sender, nil)
				second := <-sender.accepted
				if gap := second.at.Sub(told); gap < tt.least || gap > tt.least+time.Second {
					t.Errorf("the next message after %v, want %v", gap, tt.least)
				}
			}, "sqlite")
		})
	}
}
