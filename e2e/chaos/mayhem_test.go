package chaos_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/audit"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// fault is something that happens to a part of the monitor for a while.
type fault struct {
	name   string // of the kind
	target string // one fault at a time for each
	most   time.Duration
	begin  func()
	end    func()
}

// mayhem makes faults happen at random, two at a time.
type mayhem struct {
	t *testing.T
	w *world

	mu      sync.Mutex
	rng     *rand.Rand
	busy    map[string]bool
	counts  map[string]int
	history []happened
}

// happened is one fault that is over.
type happened struct {
	name, target string
	from, to     time.Time
}

func newMayhem(t *testing.T, w *world, seed uint64) *mayhem {
	return &mayhem{
		t: t, w: w, rng: rand.New(rand.NewPCG(seed, 1)),
		busy: make(map[string]bool), counts: make(map[string]int),
	}
}

// run makes faults for a time, while nodes really fail and recover by a script of its own.
func (m *mayhem) run(long time.Duration, f *fleet.Fleet) {
	until := time.Now().Add(long)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for time.Now().Before(until) {
				m.one()
				time.Sleep(m.between(100*time.Millisecond, 1500*time.Millisecond))
			}
		})
	}
	wg.Go(func() {
		for time.Now().Before(until) {
			f.Set(m.pick(nodes), [...]fleet.Phase{fleet.Works, fleet.Reports, fleet.Silent, fleet.Works}[m.pick(4)])
			time.Sleep(m.between(100*time.Millisecond, 600*time.Millisecond))
		}
	})
	began, last := time.Now(), 0
	wg.Go(func() { // a line a minute tells that it is alive
		for time.Now().Before(until) {
			time.Sleep(min(time.Until(until)+time.Millisecond, time.Second))
			if minute := int(time.Since(began).Minutes()); minute > last {
				last = minute
				m.t.Logf("%v of %v: %s", time.Since(began).Round(time.Second), long, m)
			}
		}
	})
	wg.Wait()
}

func (m *mayhem) pick(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(n)
}

func (m *mayhem) between(least, most time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return least + time.Duration(m.rng.Int64N(int64(most-least)))
}

// one makes one fault happen from beginning to end.
func (m *mayhem) one() {
	f := m.choose()
	if !m.take(f.target) {
		return
	}
	from := time.Now()
	f.begin()
	time.Sleep(m.between(f.most/10, f.most))
	f.end()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, f.target)
	m.counts[f.name]++
	m.history = append(m.history, happened{name: f.name, target: f.target, from: from, to: time.Now()})
}

func (m *mayhem) take(target string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[target] {
		return false
	}
	m.busy[target] = true
	return true
}

func (m *mayhem) choose() fault {
	services := m.w.Services()
	i := services[m.pick(len(services))]
	switch m.pick(8) {
	case 0, 1:
		return m.killed(i.Process, "service killed")
	case 2:
		return fault{name: "service frozen", target: i.Name, most: 8 * time.Second, begin: i.Freeze, end: i.Thaw}
	case 3, 4:
		return m.onLink(i)
	case 5:
		return m.onNATS(m.w.NATS[m.pick(len(m.w.NATS))])
	case 6:
		return m.onPostgres()
	}
	return m.onTelegram()
}

func (m *mayhem) killed(p *cluster.Process, name string) fault {
	return fault{
		name: name, target: p.Name, most: 4 * time.Second, begin: p.Kill,
		end: func() { m.again(p.Start(m.t.Context())) },
	}
}

func (m *mayhem) again(err error) {
	if err != nil {
		m.t.Errorf("it does not start again: %v", err)
	}
}

// onLink does something to one connection of one instance.
func (m *mayhem) onLink(i *cluster.Instance) fault {
	links := i.Links()
	n := m.pick(len(links))
	k := links[n]
	target := fmt.Sprintf("%s link %d", i.Name, n)
	switch m.pick(5) {
	case 0:
		return fault{name: "connections cut", target: target, most: 100 * time.Millisecond, begin: k.Cut, end: func() {}}
	case 1:
		return fault{name: "connections refused", target: target, most: 5 * time.Second,
			begin: func() { k.Refuse(true) }, end: func() { k.Refuse(false) }}
	case 2:
		return fault{name: "packets lost", target: target, most: 5 * time.Second,
			begin: func() { k.Hold(true) }, end: func() { k.Hold(false) }}
	case 3:
		return fault{name: "slow network", target: target, most: 5 * time.Second,
			begin: func() { k.Delay(m.between(20*time.Millisecond, 400*time.Millisecond)) }, end: func() { k.Delay(0) }}
	}
	return m.swallowed(i)
}

// swallowed loses the answer to a commit of an evaluator or notifier.
func (m *mayhem) swallowed(*cluster.Instance) fault {
	who := append(slices.Clone(m.w.Evaluators), m.w.Notifiers...)
	k := who[m.pick(len(who))].Database
	var done <-chan struct{}
	return fault{
		name: "answer to COMMIT lost", target: "swallow", most: 3 * time.Second,
		begin: func() { done = k.Swallow() },
		end: func() {
			select {
			case <-done:
			case <-time.After(5 * time.Second): // a stand-by commits nothing
				k.Heal()
			}
		},
	}
}

func (m *mayhem) onNATS(p *cluster.Process) fault {
	switch m.pick(3) {
	case 0:
		return m.killed(p, "nats-server killed")
	case 1:
		return fault{name: "nats-server restarted", target: p.Name, most: time.Second,
			begin: func() { m.again(p.Stop()) }, end: func() { m.again(p.Start(m.t.Context())) }}
	}
	return fault{name: "nats-server frozen", target: p.Name, most: 6 * time.Second, begin: p.Freeze, end: p.Thaw}
}

func (m *mayhem) onPostgres() fault {
	p := m.w.Postgres
	restart := func() { m.again(p.Restart()) }
	if m.pick(2) == 0 {
		return fault{name: "Postgres killed", target: "postgres", most: 4 * time.Second,
			begin: func() { m.again(p.Kill()) }, end: restart}
	}
	return fault{name: "Postgres restarted", target: "postgres", most: time.Second, begin: func() {}, end: restart}
}

func (m *mayhem) onTelegram() fault {
	answers := map[string]telegramtest.Answer{
		"Telegram says 429": telegramtest.TooMany(time.Second), "Telegram says 502": telegramtest.Broken(502),
		"Telegram hangs": telegramtest.Hang(), "Telegram drops": telegramtest.Drop(),
	}
	names := slices.Sorted(maps.Keys(answers))
	name := names[m.pick(len(names))]
	return fault{
		name: name, target: "telegram", most: 5 * time.Second,
		begin: func() { m.w.telegram.Always("", answers[name]) },
		end:   func() { m.w.telegram.Always("", telegramtest.OK()) },
	}
}

func (m *mayhem) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.history)
}

func (m *mayhem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return describe(m.counts, slices.Sorted(maps.Keys(m.counts)))
}

// explain tells for each repeat which fault stood between Telegram's ok and its record. A repeat without one is an error.
func (m *mayhem) explain(t *testing.T, repeats []audit.Repeat) string {
	t.Helper()
	out := ""
	for _, r := range repeats {
		for n := 1; n < len(r.At); n++ {
			why := m.cause(r.At[n-1], r.At[n])
			if why == "" {
				t.Errorf("told again at %v after %v without a reason:\n%s", r.At[n], r.At[n-1], r.Text)
			}
			out += fmt.Sprintf("; one again %v after: %s", r.At[n].Sub(r.At[n-1]).Round(100*time.Millisecond), why)
		}
	}
	return out
}

// cause finds the fault of a notifier, or of what it needs to note that a message was accepted, at the time of the first
// acceptance.
func (m *mayhem) cause(first, again time.Time) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.history {
		if h.from.After(again) || h.to.Add(time.Second).Before(first) {
			continue
		}
		notifier := len(h.target) > 8 && h.target[:8] == "notifier"
		if notifier || h.target == "postgres" || h.target == "swallow" {
			return h.name + " (" + h.target + ")"
		}
	}
	return ""
}
