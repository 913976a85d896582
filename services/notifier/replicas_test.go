package notifier

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// takeOverLimit is how long after the end of its notifier a chat is told again.
const takeOverLimit = 6 * time.Second

// engines make an empty database of each kind, to be opened inside a bubble: what a database's clock says is nothing
// that leases count by.
var engines = map[string]func(t *testing.T) (open func(context.Context) (nodestore.Store, error)){
	"sqlite": func(t *testing.T) func(context.Context) (nodestore.Store, error) {
		path := filepath.Join(t.TempDir(), "monitor.db")
		return func(ctx context.Context) (nodestore.Store, error) { return sqlite.Open(ctx, path, time.Now) }
	},
	"postgres": func(t *testing.T) func(context.Context) (nodestore.Store, error) {
		url := postgrestest.Shared(t).NewDatabase(t)
		return func(ctx context.Context) (nodestore.Store, error) {
			return postgres.Open(ctx, url, postgres.Options{MaxConns: 8})
		}
	},
}

// round is one fault: what two notifiers on one database did.
type round struct {
	step     string // that the fault struck at; "" when there were not so many
	alerts   int
	told     int
	lost     int
	repeated int           // notifications told again, all of them as they were
	open     int           // messages that Telegram had accepted and the record did not know, when another took over
	taken    time.Duration // from the fault to the take-over; 0 when nobody needed to take over
}

// strikes runs a round with two notifiers. The fault strikes the one that tells the chat, at its n-th step from when
// there is something to tell; for 0 at its first step of a kind that was not struck yet.
func strikes(t *testing.T, ev *evaluator, chat string, n int, struckYet map[string]bool, fault func(*process)) round {
	t.Helper()
	var mu sync.Mutex
	var r round
	var struck time.Time
	steps := -1 // not counted yet
	first, second := newProcess(ev.store), newProcess(ev.store)
	first.at = func(step string) {
		mu.Lock()
		if steps >= 0 {
			steps++
		}
		if step == "after told" && r.taken == 0 {
			r.open--
		}
		now := r.step == "" && steps > 0 && (steps == n || n == 0 && !struckYet[step])
		if now {
			r.step, struck = step, time.Now()
		}
		mu.Unlock()
		if now {
			fault(first)
		}
	}
	second.at = func(step string) {
		mu.Lock()
		defer mu.Unlock()
		if step == "after take over" && r.taken == 0 {
			r.taken = time.Since(struck)
		}
	}
	refusals := 1
	telegram := newScript(func(int, string, string) error { // so that the note of a failure, and thawing, are steps, too
		mu.Lock()
		defer mu.Unlock()
		if refusals--; refusals == 0 {
			return &telegram.Error{Words: "wait", RetryAfter: 3 * time.Second}
		}
		return nil
	})
	accepts := senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
		id, err := telegram.Send(ctx, chat, html, reply)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && r.taken == 0 {
			r.open++
		}
		return id, err
	})
	run := func(id string, p *process, s Sender) *running {
		return startWith(t, Options{
			ID: id, Store: p, Sender: p.sender(s), Chats: []string{chat}, Timing: Timing{Lookback: 1, PerMinute: 1000},
		})
	}
	a := run("a"+chat, first, accepts)
	time.Sleep(time.Second)
	b := run("b"+chat, second, telegram)
	time.Sleep(time.Second)
	counting := func(from int) {
		mu.Lock()
		defer mu.Unlock()
		steps = from
	}
	counting(0)
	events := downs(5)
	ev.commit(t, events[:3]...)
	time.Sleep(2500 * time.Millisecond)
	ev.commit(t, events[3:]...)
	time.Sleep(5500 * time.Millisecond)
	counting(-1)
	time.Sleep(15 * time.Second)
	first.kill()
	a.stop()
	b.stop()
	r.alerts = len(events)
	r.count(t, telegram.all(), chat)
	return r
}

// count compares what was to be told with what Telegram accepted.
func (r *round) count(t *testing.T, accepted []sent, chat string) {
	t.Helper()
	var once []sent
	for _, m := range accepted {
		if slices.ContainsFunc(once, func(o sent) bool { return o.html == m.html }) {
			r.repeated++
			continue
		}
		once = append(once, m)
	}
	for id, times := range tellings(once, chat) {
		r.told++
		if times != 1 {
			t.Errorf("struck %s: %s is told in %d different messages", r.step, id, times)
		}
	}
	r.lost = r.alerts - r.told
}

// everyStep strikes each step once and reports the sum of it.
func everyStep(t *testing.T, row reliability.Row, fault func(*process)) {
	t.Helper()
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			var rounds []round
			open := engine(t)
			bubble(t, func(t *testing.T) {
				store, err := open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer store.Close()
				ev := newEvaluator(t, store)
				struck := make(map[string]bool)
				for n, i := 0, 0; ; i++ {
					if n > 0 {
						n++
					}
					if n > 0 && raceDetector { // it takes many times as long
						n += 3
					}
					r := strikes(t, ev, fmt.Sprint(i), n, struck, fault)
					if r.step == "" && n == 0 {
						n = 1 // every kind was struck: now at every step
						continue
					} else if r.step == "" {
						break
					}
					struck[r.step] = true
					if r.lost != 0 || r.repeated != r.open || r.repeated > 1 || r.taken > takeOverLimit {
						t.Errorf("struck %s (step %d): %+v", r.step, n, r)
					}
					rounds = append(rounds, r)
				}
			})
			row := row
			row.Seen, row.Rounds = sum(t, rounds), len(rounds)
			row.Fault += ", on " + name
			reliability.Report(t, row)
		})
	}
}

// sum puts rounds into words.
func sum(t *testing.T, rounds []round) string {
	t.Helper()
	var all round
	where := make(map[string]int)
	var taken []time.Duration
	steps := make(map[string]bool)
	for _, r := range rounds {
		all.alerts, all.told = all.alerts+r.alerts, all.told+r.told
		all.lost, all.repeated = all.lost+r.lost, all.repeated+r.repeated
		steps[r.step] = true
		if r.repeated > 0 {
			where[r.step] += r.repeated
		}
		if r.taken > 0 {
			taken = append(taken, r.taken)
		}
	}
	for _, call := range []string{"collect", "waiting", "freeze", "send", "failed", "thaw", "told", "renew"} {
		if !steps["before "+call] || !steps["after "+call] {
			t.Errorf("never struck before or after %s", call)
		}
	}
	if len(taken) == 0 {
		t.Fatal("nobody took over")
	}
	slices.Sort(taken)
	return fmt.Sprintf("%d alerts, %d told, %d lost; %d notifications repeated as they were%s; taken over after %v (median), %v at most",
		all.alerts, all.told, all.lost, all.repeated, reasons(where),
		taken[len(taken)/2].Round(10*time.Millisecond), taken[len(taken)-1].Round(10*time.Millisecond))
}

func reasons(where map[string]int) string {
	if len(where) == 0 {
		return ""
	}
	var parts []string
	for step, n := range where {
		parts = append(parts, fmt.Sprintf("%d struck %s", n, step))
	}
	slices.Sort(parts)
	return " (" + strings.Join(parts, ", ") + ": between Telegram's ok and the record)"
}

const mustOnce = "no alert lost; repeated only what was struck between Telegram's ok and the record; taken over within 6 s"

// A notifier is killed at every step of its calls; the other one goes on.
func TestAKilledNotifierLosesNothing(t *testing.T) {
	everyStep(t, reliability.Row{Group: "Telegram", Fault: "the notifier is killed at every step", Must: mustOnce}, (*process).kill)
}

// A notifier is frozen at every step for longer than its lease, and thaws while another tells.
func TestAFrozenNotifierLosesNothing(t *testing.T) {
	everyStep(t, reliability.Row{Group: "Telegram", Fault: "the notifier is frozen at every step for 10 s", Must: mustOnce},
		func(p *process) { p.freeze(10 * time.Second) })
}
