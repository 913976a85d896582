package chaos_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	killedLimit = 6 * time.Second  // until another goes on for a process that was killed
	frozenLimit = 10 * time.Second // for one that is frozen, or cut off
)

// One of two evaluators, notifiers or ingests is killed, frozen or cut off; the other goes on.
func TestFaultsTakeOver(t *testing.T) {
	w := alone(t, options{})
	f, stop := healthy(t, w)
	defer stop()
	spark := &spark{world: w, fleet: w.fleet("spark", sparks)}
	end := run(t.Context(), spark.fleet)
	defer end()
	w.takeOverEvaluator(t)
	w.takeOverIngest(t, f)
	repeats := spark.takeOverNotifier(t)
	if got := w.audited(t, func() { stop(); end() }, f, spark.fleet); got != repeats {
		t.Errorf("%d messages were told twice, want %d", got, repeats)
	}
}

func (w *world) takeOverEvaluator(t *testing.T) {
	t.Run("evaluator killed", func(t *testing.T) {
		w.evaluatorFails(t, killedLimit, "the evaluator that folds is killed (kill -9)", func(i *cluster.Instance) func() {
			i.Kill()
			return func() { restart(t, i) }
		})
	})
	t.Run("evaluator frozen", func(t *testing.T) {
		w.evaluatorFails(t, frozenLimit, "the evaluator that folds is frozen (SIGSTOP), and thaws after the take-over",
			func(i *cluster.Instance) func() {
				i.Freeze()
				return i.Thaw
			})
	})
	t.Run("evaluator frozen in a commit", func(t *testing.T) {
		w.evaluatorFails(t, frozenLimit, "the evaluator is frozen (SIGSTOP) between compare-and-set and commit, holding the row's lock, and thaws",
			func(i *cluster.Instance) func() {
				<-i.Database.Halve()
				i.Freeze()
				return func() { i.Thaw(); i.Database.Hold(false) }
			})
	})
	if testing.Short() {
		return
	}
	t.Run("evaluator cut off", func(t *testing.T) {
		w.evaluatorFails(t, frozenLimit, "the evaluator that folds is cut off from Postgres (packets lost)",
			func(i *cluster.Instance) func() {
				i.Database.Hold(true)
				return func() { i.Database.Hold(false) }
			})
	})
}

// evaluatorFails measures from the fault to the first commit of another evaluator that holds what was stored after it.
func (w *world) evaluatorFails(t *testing.T, limit time.Duration, what string, do func(*cluster.Instance) (undo func())) {
	var took []time.Duration
	for range rounds() {
		if err := w.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		owner, term := w.owner(t)
		since := w.lastEvent(t)
		undo := do(owner)
		took = append(took, w.folded(t, limit+10*time.Second, term))
		undo()
		until(t, 30*time.Second, owner.Name+" stands by", func() bool { return figure(owner, "gensyn_evaluator_lease_held") == "0" })
		w.folded(t, limit, term)
		if now := w.term(t); now != term+1 {
			t.Errorf("term %d after %d: the former owner took something back", now, term)
		}
		if n := w.toldLost(t, since); n > 0 {
			t.Errorf("%d healthy nodes were told of", n)
		}
	}
	within(t, took, limit)
	reliability.Report(t, reliability.Row{
		Group: "Evaluator", Fault: what, Must: fmt.Sprintf("the other commits new messages within %v; the former owner changes nothing", limit),
		Seen: "new commits after " + spread(took) + "; each time one term more, no node told of", Rounds: len(took),
	})
}

// owner is the evaluator that folds, and its term.
func (w *world) owner(t *testing.T) (owner *cluster.Instance, term int64) {
	t.Helper()
	until(t, 20*time.Second, "an evaluator folds", func() bool {
		for _, i := range w.Evaluators {
			if figure(i, "gensyn_evaluator_lease_held") == "1" {
				owner = i
				return true
			}
		}
		return false
	})
	return owner, w.term(t)
}

func (w *world) term(t *testing.T) (term int64) {
	t.Helper()
	if err := w.database(t).QueryRow(t.Context(), `SELECT term FROM partitions WHERE partition = 0`).Scan(&term); err != nil {
		t.Fatal(err)
	}
	return term
}

// folded waits until a message that is stored after now is committed under a term above that one.
func (w *world) folded(t *testing.T, limit time.Duration, above int64) time.Duration {
	t.Helper()
	return w.await(t, limit, "an evaluator commits", `SELECT term > $1 AND stamp > $2 FROM partitions WHERE partition = 0`,
		above, time.Now().UnixNano())
}

func (w *world) takeOverIngest(t *testing.T, f *fleet.Fleet) {
	t.Run("ingest killed", func(t *testing.T) {
		w.ingestFails(t, f, killedLimit, "one of two ingests is killed (kill -9)", func(i *cluster.Instance) func() {
			i.Kill()
			return func() { restart(t, i) }
		})
	})
	t.Run("ingest frozen", func(t *testing.T) {
		w.ingestFails(t, f, frozenLimit, "one of two ingests is frozen (SIGSTOP), and thaws", func(i *cluster.Instance) func() {
			i.Freeze()
			return i.Thaw
		})
	})
}

// ingestFails measures from the fault until every node was heard since. The agents give a request 2.5 s.
func (w *world) ingestFails(t *testing.T, f *fleet.Fleet, limit time.Duration, what string, do func(*cluster.Instance) (undo func())) {
	var took []time.Duration
	for range rounds() {
		since, began := w.lastEvent(t), time.Now()
		undo := do(w.Ingests[w.used%2])
		w.used++ // agents stay with the one that answers
		until(t, limit+10*time.Second, "every node is heard", func() bool { return heardSince(f, began) })
		took = append(took, time.Since(began))
		time.Sleep(brisk) // whoever is to be lost for it would be by now
		undo()
		if err := w.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.toldLost(t, since); n > 0 {
			t.Errorf("%d healthy nodes were told of", n)
		}
	}
	within(t, took, limit)
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: what, Must: fmt.Sprintf("agents reach the other; every node is heard within %v", limit),
		Seen: fmt.Sprintf("all of %d nodes heard after %s; none told of", many, spread(took)), Rounds: len(took),
	})
}

// heardSince reports whether every node of the fleet had a heartbeat acknowledged since then.
func heardSince(f *fleet.Fleet, from time.Time) bool {
	for _, n := range f.Truth() {
		if len(n.Acked) == 0 || !n.Acked[len(n.Acked)-1].At.After(from) {
			return false
		}
	}
	return true
}

// sparks is how many nodes a spark needs at most: two a round.
const sparks = 24

// spark makes something to tell, each time of another node: one that changes often would be called flapping.
type spark struct {
	*world
	fleet *fleet.Fleet
	used  int
}

// awaitJoined waits until people were told of the nodes. A digest may not name them.
func (s *spark) awaitJoined(t *testing.T) {
	t.Helper()
	s.await(t, time.Minute, "it is told that the nodes joined", `SELECT count(*) = $1 FROM deliveries d
		JOIN events e ON e.id = d.event_id JOIN notifications n ON n.id = d.notification
		WHERE e.node_id LIKE 'spark-%' AND n.told_at IS NOT NULL`, len(s.fleet.IDs()))
}

// strike lets a node report that it is down.
func (s *spark) strike() {
	s.fleet.Set(s.used, fleet.Reports)
	s.used++
}

// told are the messages about those nodes.
func (s *spark) told() (out []telegramtest.Message) {
	for _, m := range s.telegram.Messages() {
		if strings.Contains(m.Text, "spark-") {
			out = append(out, m)
		}
	}
	return out
}

// awaitTold waits for the message after the first n, and returns when it was accepted.
func (s *spark) awaitTold(t *testing.T, n int, limit time.Duration) time.Time {
	t.Helper()
	until(t, limit, fmt.Sprintf("message %d about such a node is accepted", n+1), func() bool { return len(s.told()) > n })
	return s.told()[n].At
}

// teller is the notifier that tells the chat. It lets it tell something to find out.
func (s *spark) teller(t *testing.T) *cluster.Instance {
	t.Helper()
	return grown(t, "a notifier tells", `gensyn_notifier_messages_total{chat="100",result="accepted"}`, s.Notifiers, func() {
		n := len(s.told())
		s.strike()
		s.awaitTold(t, n, 30*time.Second)
	})
}

// takeOverNotifier returns how many messages may have been told twice.
func (s *spark) takeOverNotifier(t *testing.T) (repeats int) {
	s.awaitJoined(t)
	t.Run("notifier killed", func(t *testing.T) {
		s.notifierFails(t, killedLimit, 0, "the notifier that tells the chat is killed (kill -9) while it sends", func(i *cluster.Instance) func() {
			s.whileSending(t, i.Kill)
			return func() { restart(t, i) }
		})
	})
	t.Run("notifier frozen", func(t *testing.T) {
		s.notifierFails(t, frozenLimit, 0, "the notifier is frozen (SIGSTOP) while it sends, and thaws after the take-over",
			func(i *cluster.Instance) func() {
				s.whileSending(t, i.Freeze)
				return i.Thaw
			})
	})
	t.Run("notifier frozen before its record", func(t *testing.T) {
		s.notifierFails(t, frozenLimit, 1, "the notifier is frozen (SIGSTOP) between Telegram's ok and the record of it, and thaws",
			func(i *cluster.Instance) func() {
				accepted := make(chan struct{})
				once := sync.OnceFunc(func() { i.Freeze(); close(accepted) })
				s.telegram.Watch(func(telegramtest.Message) { once() })
				s.strike()
				select {
				case <-accepted:
				case <-time.After(30 * time.Second):
					t.Fatal("nothing was told within 30 s")
				}
				s.telegram.Watch(nil)
				repeats++
				return i.Thaw
			})
	})
	return repeats
}

// whileSending does something to the notifier while Telegram does not answer it.
func (s *spark) whileSending(t *testing.T, do func()) {
	t.Helper()
	calls := s.telegram.Calls("100")
	s.telegram.Next("100", telegramtest.Hang())
	s.strike()
	if err := s.telegram.WaitForCalls(t.Context(), "100", calls+1); err != nil {
		t.Fatal(err)
	}
	do()
}

// notifierFails measures from the fault until Telegram has accepted from the other what was to be told, and looks that
// it was told once, and again only the frozen message.
func (s *spark) notifierFails(t *testing.T, limit time.Duration, again int, what string, do func(*cluster.Instance) (undo func())) {
	var took []time.Duration
	for range rounds() {
		if err := s.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		teller := s.teller(t)
		before := len(s.told())
		undo := do(teller)
		began := time.Now()
		took = append(took, s.awaitTold(t, before+again, limit+10*time.Second).Sub(began))
		undo()
		time.Sleep(3 * time.Second) // whatever the former teller still has to say
		told := s.told()[before:]
		if len(told) != 1+again || told[0].Text != told[len(told)-1].Text {
			t.Errorf("told %d times, want %d, alike: %+v", len(told), 1+again, told)
		}
	}
	within(t, took, limit)
	must := fmt.Sprintf("the other tells within %v, once", limit)
	if again > 0 {
		must = fmt.Sprintf("the other tells within %v; only the frozen message is repeated, as it was", limit)
	}
	reliability.Report(t, reliability.Row{
		Group: "Telegram", Fault: what, Must: must, Rounds: len(took),
		Seen: fmt.Sprintf("told by the other after %s; %d lost, %d repeated", spread(took), 0, again*len(took)),
	})
}
