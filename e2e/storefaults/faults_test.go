package storefaults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const same = "no transition lost or doubled (the reference fold of the stream gives the same), heartbeats answered 200, /readyz and a figure name the kind"

// away is how long a fault lasts.
const away = 3 * time.Second

// TestTrouble puts the one evaluator's database through one kind of trouble after the other.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		fault string
		begin func(w *world, m *member) error
		end   func(w *world, m *member) error
		kinds []nodestore.Trouble
	}{
		{
			"Postgres is stopped as an administrator does (fast), and started again",
			func(w *world, _ *member) error { return w.primary.Stop() },
			func(w *world, _ *member) error { return w.primary.Restart() },
			[]nodestore.Trouble{nodestore.Restarting, nodestore.Unreachable},
		},
		{
			"Postgres is killed with all its sessions, and started again",
			func(w *world, _ *member) error { return w.primary.Kill() },
			func(w *world, _ *member) error { return w.primary.Restart() },
			[]nodestore.Trouble{nodestore.Unreachable},
		},
		{
			"connections to Postgres are refused",
			func(_ *world, m *member) error { m.database.Refuse(true); return nil },
			func(_ *world, m *member) error { m.database.Refuse(false); return nil },
			[]nodestore.Trouble{nodestore.Unreachable},
		},
		{
			"the network to Postgres loses every packet",
			func(_ *world, m *member) error { m.database.Hold(true); return nil },
			func(_ *world, m *member) error { m.database.Hold(false); return nil },
			[]nodestore.Trouble{nodestore.Slow},
		},
		{
			"the network to Postgres is slow, 3 s each way",
			func(_ *world, m *member) error { m.database.Delay(3 * time.Second); return nil },
			func(_ *world, m *member) error { m.database.Delay(0); return nil },
			[]nodestore.Trouble{nodestore.Slow},
		},
		{
			"Postgres becomes read-only",
			func(w *world, m *member) error {
				return w.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			},
			func(w *world, m *member) error {
				return w.run("SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
			},
			[]nodestore.Trouble{nodestore.ReadOnly},
		},
	} {
		t.Run(c.fault, func(t *testing.T) {
			const rounds = 2
			w := newWorld(t)
			m := w.add(pace(), "")
			w.awaitFolded()
			var took []time.Duration
			var seen []string
			for round := range rounds {
				began := time.Now()
				if err := c.begin(w, m); err != nil {
					t.Fatal(err)
				}
				w.fleet.silent.Store(round == 0) // three die while nobody can write it down
				seen = append(seen, string(w.awaitTrouble(m, c.kinds...)))
				time.Sleep(time.Until(began.Add(away))) // the length of the fault, not a hope
				if err := c.end(w, m); err != nil {
					t.Fatal(err)
				}
				took = append(took, w.awaitFolded())
				await(t, 10*time.Second, "readiness again", func() bool { return m.ready("database") == "" })
			}
			wantWords(t, m)
			accepted, transitions := w.accepted(), w.verify()
			reliability.Report(t, reliability.Row{
				Group: "Postgres", Fault: c.fault, Must: same, Rounds: rounds,
				Seen: fmt.Sprintf("%d transitions, all as the reference says; %d heartbeats answered 200, 0 not; named %s; folded %s after the end",
					transitions, accepted, strings.Join(seen, ", "), spread(took)),
			})
		})
	}
}

// wantWords fails unless the log told beginning and end in words.
func wantWords(t *testing.T, m *member) {
	t.Helper()
	log := m.log.String()
	for _, text := range []string{`"help":"`, "heartbeats are kept in NATS", "database: works again"} {
		if !strings.Contains(log, text) {
			t.Errorf("the log does not say %q", text)
		}
	}
	if n := strings.Count(log, "heartbeats are kept in NATS"); n > 8 {
		t.Errorf("the log speaks %d times of the trouble", n)
	}
}

// A connection is cut in the middle of a commit: before the end of it reaches the database, and before the answer
// arrives.
func TestCutWithinACommit(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	w := newWorld(t)
	m := w.add(pace(), "")
	w.awaitFolded()
	hits, cuts := make(map[string]float64), make(map[string]int)
	for name, cut := range map[string]func() <-chan struct{}{"before its end arrives": m.database.Lose, "before its answer arrives": m.database.Swallow} {
		before := m.figure(t, "gensyn_evaluator_commit_errors_total", "")
		// A cut may meet another transaction than a commit of the fold: then there is one more.
		for ; cuts[name] < rounds || hits[name] < float64(rounds)/2 && cuts[name] < 4*rounds; cuts[name]++ {
			// Else the cut would meet the question what became of the commit before.
			await(t, 20*time.Second, "the trouble is over", func() bool { return m.ready("database") == "" })
			<-cut()
			w.awaitFolded()
			await(t, 20*time.Second, "the trouble is over", func() bool { return m.ready("database") == "" })
			hits[name] = m.figure(t, "gensyn_evaluator_commit_errors_total", "") - before
		}
		if hits[name] < float64(rounds)/2 {
			t.Errorf("%s: %v of %d cuts met a commit: the test is too kind", name, hits[name], cuts[name])
		}
	}
	if m.figure(t, "gensyn_evaluator_database_errors_total", string(nodestore.Unreachable)) == 0 {
		t.Error("no figure tells of it")
	}
	accepted, transitions := w.accepted(), w.verify()
	store := w.open()
	defer store.Close()
	// The fence alone would keep the record right: whoever does not ask what became of a commit is fenced, and loads again.
	if term, _, err := store.Committed(t.Context(), 0); err != nil || term != 1 {
		t.Errorf("term %d, %v: the owner must go on in its first term", term, err)
	}
	for name, hit := range hits {
		reliability.Report(t, reliability.Row{
			Group: "Postgres", Fault: "a connection is cut within a commit, " + name, Rounds: cuts[name],
			Must: "no transition lost or doubled (the reference fold of the stream gives the same), the owner goes on in its term, heartbeats answered 200, a figure counts it",
			Seen: fmt.Sprintf("%v of %d cuts met a commit of the fold, the others another transaction; with both kinds of cut %d transitions, all as the reference says; %d heartbeats answered 200, 0 not",
				hit, cuts[name], transitions, accepted),
		})
	}
}
