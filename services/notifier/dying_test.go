package notifier

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// heldRound plays a silence and its end, and a reminder, to a chat with two notifiers. The fault strikes the one that
// tells, when it comes to a step for the given time. It returns whether it did, and how many messages were repeated.
func heldRound(t *testing.T, w *world, n int, step string, times int, fault func(*process)) (struck bool, repeated int) {
	t.Helper()
	chat, label := fmt.Sprint(n), fmt.Sprint("round=", n)
	down, back := name(10*n), name(10*n+1)
	w.add(t, label, down, back)
	var mu sync.Mutex
	counting := false
	first, second := newProcess(w.store), newProcess(w.store)
	first.at = func(at string) {
		mu.Lock()
		if counting && at == step {
			times--
		}
		strike := counting && at == step && times == 0
		struck = struck || strike
		mu.Unlock()
		if strike {
			fault(first)
		}
	}
	sender := newScript(nil)
	run := func(id string, p *process) *running {
		return w.run(t, id+chat, p.sender(sender), func(o *Options) {
			o.Store, o.Chats, o.Reminders = p, []string{chat}, Reminders{20 * time.Second, 10 * time.Hour}
			o.Timing = Timing{Lookback: 1, Remind: 2 * time.Second}
		})
	}
	a := run("a", first)
	time.Sleep(time.Second)
	b := run("b", second)
	time.Sleep(time.Second)
	mu.Lock()
	counting = true
	mu.Unlock()
	w.silence(t, nodestore.ScopeLabel, label, 4*time.Second)
	w.set(t, node.Down, "no_screen", down, back)
	time.Sleep(2200 * time.Millisecond)
	w.set(t, node.Up, "", back)
	time.Sleep(23 * time.Second)
	mu.Lock()
	counting = false
	mu.Unlock()
	time.Sleep(15 * time.Second)
	first.kill()
	a.stop()
	b.stop()
	w.services = nil
	var once []sent
	for _, m := range sender.all() {
		if len(once) > 0 && once[len(once)-1].html == m.html {
			repeated++
			continue
		}
		once = append(once, m)
	}
	wantTexts(t, once, []string{"still DOWN", down, "It was silenced until now."}, []string{"still DOWN", down, "!silenced"})
	w.wantRecord(t, chat, "t", down)
	w.wantRecord(t, chat, "uu", back)
	if t.Failed() {
		t.Fatalf("struck %q", step)
	}
	w.set(t, node.Up, "", down)
	time.Sleep(time.Second) // no news for the next chat
	return struck, repeated
}

// A notifier that dies or freezes at any step neither loses nor repeats what a silence held, nor a reminder.
func TestWhatIsHeldSurvivesItsNotifier(t *testing.T) {
	for name, fault := range map[string]func(*process){
		"is killed": (*process).kill, "is frozen for 10 s": func(p *process) { p.freeze(10 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				rounds, repeats, most := 0, 0, 3
				if raceDetector { // it takes many times as long
					most = 1
				}
				for _, call := range []string{"collect", "silences", "held", "free", "failing", "waiting", "frozen", "freeze", "send", "told", "renew"} {
					for _, step := range []string{"before " + call, "after " + call} {
						for times := 1; times <= most; times++ {
							struck, repeated := heldRound(t, w, rounds, step, times, fault)
							open := step == "after send" || step == "before told"
							switch {
							case !struck && times == 1:
								t.Errorf("never struck %s", step)
							case repeated > 1 || repeated > 0 && !open:
								t.Errorf("struck %s: %d messages repeated", step, repeated)
							}
							rounds, repeats = rounds+1, repeats+repeated
						}
					}
				}
				reliability.Report(t, reliability.Row{
					Group: "Telegram", Fault: "the notifier " + name + " at every step of a silence, its end and a reminder", Rounds: rounds,
					Must: "what was held is told or recorded as not told, a reminder is told once; repeated only what was struck between Telegram's ok and the record",
					Seen: fmt.Sprintf("nothing lost, %d notifications repeated as they were", repeats),
				})
			}, "sqlite")
		})
	}
}
