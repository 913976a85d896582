// Package crashpoint_test kills the separate programs at every named step between a heartbeat's arrival and the record
// of its delivery, and looks afterwards whether anything was lost, made up or told twice.
package crashpoint_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/rig"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// Whatever step a process dies at, what was acknowledged is folded, the transitions are those of the reference fold,
// and every alert is told once; once more only where Telegram's acceptance was not recorded yet.
func TestKilledAtEveryStep(t *testing.T) {
	m := start(t)
	began := time.Now()
	done := make(chan struct{})
	var silences sync.WaitGroup
	silences.Go(func() { m.fallSilent(done) })
	// Not t.Parallel, which would let only as many go at once as there are processors: they mostly wait for leases.
	var groups sync.WaitGroup
	groups.Go(func() { t.Run("evaluator", m.killEvaluators) })
	groups.Go(func() { t.Run("front", func(t *testing.T) { m.killIngests(t); m.killWebs(t) }) })
	for i, chat := range chats {
		groups.Go(func() { t.Run("notifier of "+chat, func(t *testing.T) { m.killNotifiers(t, chat, i) }) })
	}
	groups.Wait()
	close(done)
	silences.Wait()
	t.Logf("%d steps took %v", len(crashpoint.Points), time.Since(began).Round(time.Second))
	m.check(t)
}

// fallSilent makes one node lost and heard again, over and over.
func (m *monitor) fallSilent(done <-chan struct{}) {
	const id = "sleeper"
	pause := func(d time.Duration) bool {
		select {
		case <-done:
			return false
		case <-time.After(d):
			return true
		}
	}
	for m.fleet.Set(id, "UP"); pause(4 * time.Second); m.fleet.Set(id, "UP") {
		m.fleet.Silence(id)
		if !pause(threshold + 6*time.Second) {
			break
		}
	}
	m.fleet.Set(id, "UP")
}

// flip changes a node's state, which makes an alert.
func (m *monitor) flip(id string, n int) { m.fleet.Set(id, []string{"DOWN", "UP"}[n%2]) }

// The armed evaluator stands by; the owner is stopped, and started again once the armed one has the lease.
func (m *monitor) killEvaluators(t *testing.T) {
	owner, armed := m.whoOwns(t, m.evaluators[0], m.evaluators[1])
	m.fleet.Set("evaluator-spark", "UP")
	for i, p := range points("evaluator") {
		t.Run(p.Name, func(t *testing.T) {
			arm(t, armed, p)
			before := m.term(t, "")
			must(t, owner.Stop())
			m.flip("evaluator-spark", i)
			await(t, "the armed evaluator takes the lease", func() bool { return m.term(t, "") > before })
			must(t, owner.Restart(t.Context()))
			if p.Name == "evaluator.release" {
				must(t, armed.AwaitReady(t.Context()))
				_ = armed.Stop() // it dies of it
			}
			crash := died(t, armed, p)
			must(t, armed.Restart(t.Context()))
			await(t, "the other takes over", func() bool { return m.term(t, "") > before+1 })
			m.took("evaluator", time.Since(crash))
			owner, armed = m.whoOwns(t, owner, armed)
		})
	}
}

// whoOwns tells the two apart: the restarted one may have been quicker.
func (m *monitor) whoOwns(t *testing.T, a, b *rig.Service) (owner, other *rig.Service) {
	t.Helper()
	await(t, "one of them folds", func() bool { return folding(t, a) != folding(t, b) })
	if folding(t, a) {
		return a, b
	}
	return b, a
}

func folding(t *testing.T, s *rig.Service) bool { return gauge(t, s, "gensyn_evaluator_lease_held 1") }

func (m *monitor) killNotifiers(t *testing.T, chat string, share int) {
	pair := m.notifiers[chat]
	node := "spark-of-" + chat
	m.fleet.Set(node, "UP")
	for i, p := range points("notifier") {
		if i%len(chats) != share {
			continue
		}
		t.Run(p.Name, func(t *testing.T) { m.killNotifier(t, pair, chat, node, i/len(chats), p) })
	}
}

func (m *monitor) killNotifier(t *testing.T, pair *[2]*rig.Service, chat, node string, n int, p crashpoint.Point) {
	owner, armed := pair[0], pair[1]
	before := m.term(t, chat)
	must(t, owner.Stop())
	// Whoever told this chat has given its lease back, or dies now: the armed one is alone until it has it.
	arm(t, armed, p)
	await(t, "the armed notifier takes the chat", func() bool { return m.term(t, chat) > before })
	must(t, owner.Restart(t.Context()))
	if p.Name == "notifier.refused" {
		m.telegram.Next(chat, telegramtest.Broken(http.StatusBadGateway))
	}
	m.flip(node, n)
	crash := died(t, armed, p)
	reached := m.term(t, chat)
	must(t, armed.Restart(t.Context()))
	await(t, "another takes the chat over", func() bool { return m.term(t, chat) > reached })
	m.took("notifier", time.Since(crash))
	_, err := m.AwaitTold(t.Context(), chat)
	must(t, err)
}

func (m *monitor) killIngests(t *testing.T) {
	for i, p := range points("ingest") {
		t.Run(p.Name, func(t *testing.T) {
			armed, other := m.ingests[i%2], m.ingests[(i+1)%2]
			if p.Name == "ingest.pulse" { // there is none while agents report to it
				m.fleet.Aim(other.URL)
				defer m.fleet.Aim(other.URL, armed.URL)
			}
			arm(t, armed, p)
			crash := died(t, armed, p)
			await(t, "all agents are heard by the other", func() bool { return m.heardSince(crash) })
			m.took("ingest", time.Since(crash))
			must(t, armed.Restart(t.Context()))
			must(t, armed.AwaitReady(t.Context()))
		})
	}
}

// heardSince reports whether every steady node's heartbeat was acknowledged after a time.
func (m *monitor) heardSince(from time.Time) bool {
	for _, id := range m.steady {
		if !m.fleet.Last(id).After(from) {
			return false
		}
	}
	return true
}

func (m *monitor) killWebs(t *testing.T) {
	for i, p := range points("web") {
		t.Run(p.Name, func(t *testing.T) {
			armed, other := m.webs[i%2], m.webs[(i+1)%2]
			id := fmt.Sprintf("deleted-%d", i+1)
			m.fleet.Set(id, "UP")
			await(t, id+" is in the table", func() bool { return m.has(t, other, id) })
			m.fleet.Silence(id)
			time.Sleep(time.Second) // its heartbeat on the way is folded before the command
			arm(t, armed, p)
			must(t, armed.AwaitReady(t.Context()))
			if status := m.remove(t, armed, id); status != 0 {
				t.Fatalf("the armed one answered %d", status)
			}
			crash := died(t, armed, p)
			await(t, "the other takes the command, or knows that it was carried out", func() bool {
				status := m.remove(t, other, id)
				return status == http.StatusOK || status == http.StatusAccepted || status == http.StatusNotFound
			})
			m.took("web", time.Since(crash))
			await(t, id+" is gone", func() bool { return !m.has(t, other, id) }) // once an evaluator folds
			must(t, armed.Restart(t.Context()))
		})
	}
}
