package chaos_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	minute    = 3 * time.Second  // of the hurried notifier
	untold    = 10 * minute      // its patience with alerts that are not told
	deadPath  = "/ping/dead-key" // the address is a secret
	recovers  = 15 * time.Second // until all works again after a fault, which does not scale
	lookAhead = time.Second      // a commit and a look of the notifier, which do not scale
)

// watchdog is the outside watchdog behind DEADMAN_URL.
type watchdog struct {
	server *httptest.Server

	mu    sync.Mutex
	calls []time.Time
	fails bool
}

func newWatchdog(t *testing.T) *watchdog {
	d := new(watchdog)
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if r.URL.Path != deadPath || r.Method != http.MethodGet {
			t.Errorf("called with %s %s", r.Method, r.URL)
		}
		if d.fails {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		d.calls = append(d.calls, time.Now())
	}))
	t.Cleanup(d.server.Close)
	return d
}

// after are the calls after a time.
func (d *watchdog) after(from time.Time) (out []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.calls {
		if at.After(from) {
			out = append(out, at)
		}
	}
	return out
}

func (d *watchdog) fail(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = on
}

// gap is the longest time without a call from one moment to another.
func (d *watchdog) gap(from, to time.Time) (longest time.Duration) {
	last := from
	for _, at := range append(d.after(from), to) {
		if at.After(to) {
			at = to
		}
		longest, last = max(longest, at.Sub(last)), at
	}
	return longest
}

// End of DEADMAN_URL's calls is what an outside watchdog hears of when the monitor is dead, or blind, or cannot tell.
func TestFaultsDeadman(t *testing.T) {
	dog := newWatchdog(t)
	w := alone(t, options{servers: 1, env: []string{"DEADMAN_URL=" + dog.server.URL + deadPath}, programs: hurried})
	f, stop := healthy(t, w)
	defer stop()
	spark := &spark{world: w, fleet: w.fleet("spark", 1)}
	end := run(t.Context(), spark.fleet)
	defer end()
	spark.awaitJoined(t)
	t.Run("healthy", func(t *testing.T) { w.called(t, dog) })
	t.Run("one notifier dies", func(t *testing.T) { w.callerFails(t, dog, "killed (kill -9)", func(i *cluster.Instance) { i.Kill() }) })
	if !testing.Short() {
		t.Run("one notifier freezes", func(t *testing.T) {
			w.callerFails(t, dog, "frozen (SIGSTOP)", func(i *cluster.Instance) { i.Freeze() })
		})
	}
	for _, o := range w.outages() {
		if testing.Short() && !o.short {
			continue
		}
		t.Run(o.what, func(t *testing.T) { dog.silenced(t, o) })
	}
	if !testing.Short() {
		t.Run("Telegram away", func(t *testing.T) { spark.untold(t, dog) })
	}
	t.Run("secret", func(t *testing.T) { w.keepsSecret(t, dog) })
	if n := w.audited(t, func() { stop(); end() }, f, spark.fleet); n > 0 {
		t.Errorf("%d messages were told twice", n)
	}
}

// scale says how the minutes of a row were measured.
const scale = "; 1 min measured as 3 s"

// called counts the calls of ten minutes in which nothing happens.
func (w *world) called(t *testing.T, dog *watchdog) {
	until(t, recovers, "DEADMAN_URL is called", func() bool { return len(dog.after(time.Time{})) > 0 })
	from, minutes := time.Now(), 10
	if testing.Short() {
		minutes = 5
	}
	time.Sleep(time.Duration(minutes) * minute)
	calls, gap := len(dog.after(from)), dog.gap(from, time.Now())
	if calls < minutes*8/10 || calls > minutes || gap > minute+lookAhead {
		t.Errorf("called %d times in %d minutes, the longest gap was %v", calls, minutes, gap)
	}
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: "none: DEADMAN_URL while heartbeats flow, two notifiers", Rounds: 1,
		Must: "called once a minute, by one of them" + scale,
		Seen: fmt.Sprintf("%d calls in %d minutes, the longest gap %.1f min", calls, minutes, gap.Seconds()/minute.Seconds()),
	})
}

// outage is something that must end the calls.
type outage struct {
	what  string
	begin func(*testing.T)
	end   func(*testing.T)
	short bool // a part of the short form, too
}

func (w *world) outages() []outage {
	all := func(list []*cluster.Instance) (kill, start func(*testing.T)) {
		return func(*testing.T) {
				for _, i := range list {
					i.Kill()
				}
			}, func(t *testing.T) {
				for _, i := range list {
					restart(t, i)
				}
			}
	}
	out := []outage{
		{what: "Postgres is killed", begin: func(t *testing.T) { must(t, w.Postgres.Kill()) }, end: func(t *testing.T) { must(t, w.Postgres.Restart()) }},
		{
			what:  "every nats-server is killed",
			begin: func(*testing.T) { w.NATS[0].Kill() },
			end:   func(t *testing.T) { must(t, cluster.StartAll(t.Context(), w.NATS)) },
		},
		{
			what:  "agents are cut off while pulses go on",
			begin: func(*testing.T) { w.closeDoors(true) }, end: func(*testing.T) { w.closeDoors(false) },
		},
	}
	for name, list := range map[string][]*cluster.Instance{
		"all ingests are killed": w.Ingests, "all evaluators are killed": w.Evaluators, "all notifiers are killed": w.Notifiers,
	} {
		kill, start := all(list)
		out = append(out, outage{what: name, begin: kill, end: start, short: name == "all ingests are killed"})
	}
	return out
}

func (w *world) closeDoors(on bool) {
	for _, i := range w.Ingests {
		i.Front.Hold(on)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// silenced begins an outage while calls are made, looks that they end within two minutes, and that they begin again.
func (d *watchdog) silenced(t *testing.T, o outage) {
	now := time.Now()
	until(t, recovers, "DEADMAN_URL is called", func() bool { return len(d.after(now)) > 0 })
	o.begin(t)
	began := time.Now()
	time.Sleep(4 * minute)
	var last time.Duration // of a call after it began
	for _, at := range d.after(began) {
		last = at.Sub(began)
	}
	if last > 2*minute {
		t.Errorf("called %v after it began", last)
	}
	o.end(t)
	back := time.Now()
	until(t, recovers+minute, "DEADMAN_URL is called again", func() bool { return len(d.after(back)) > 0 })
	again := d.after(back)[0].Sub(back)
	seen := "no call after it began"
	if last > 0 {
		seen = fmt.Sprintf("the last call %.1f min after it began", last.Seconds()/minute.Seconds())
	}
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: o.what + " (DEADMAN_URL)", Rounds: 1,
		Must: "no call from 2 min after it began; called again afterwards" + scale,
		Seen: fmt.Sprintf("%s, none during the 4 min that it lasted; called again %.1f s after it was over", seen, again.Seconds()),
	})
}

// callerFails ends the notifier that calls: another does, before a watchdog with a minute of grace would notice.
func (w *world) callerFails(t *testing.T, dog *watchdog, how string, do func(*cluster.Instance)) {
	var longest time.Duration
	for range rounds() {
		must(t, w.AwaitReady(t.Context()))
		caller := w.caller(t)
		from := time.Now()
		do(caller)
		until(t, killedLimit+minute+lookAhead, "another calls", func() bool { return len(dog.after(from)) > 1 })
		longest = max(longest, dog.gap(from, time.Now()))
		caller.Thaw()
		caller.Kill()
		restart(t, caller)
	}
	if longest > killedLimit+minute+lookAhead {
		t.Errorf("no call for %v", longest)
	}
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: "the notifier that calls DEADMAN_URL is " + how, Rounds: rounds(),
		Must: "another calls: no gap longer than a minute and the 6 s of a take-over" + scale,
		Seen: fmt.Sprintf("the longest gap was %.1f s, of which a minute is %.0f s", longest.Seconds(), minute.Seconds()),
	})
}

// caller is the notifier that calls.
func (w *world) caller(t *testing.T) *cluster.Instance {
	t.Helper()
	return grown(t, "a notifier calls", `gensyn_notifier_deadman_calls_total{result="accepted"}`, w.Notifiers, func() {})
}

// untold lets an alert wait for Telegram: after ten minutes people are not told, whatever else works.
func (s *spark) untold(t *testing.T, dog *watchdog) {
	s.telegram.Always("", telegramtest.Broken(http.StatusBadGateway))
	calls := s.telegram.Calls("100")
	s.strike()
	must(t, s.telegram.WaitForCalls(t.Context(), "100", calls+1))
	began := time.Now()
	time.Sleep(untold + 4*minute)
	var last time.Duration
	for _, at := range dog.after(began) {
		last = at.Sub(began)
	}
	if gap := dog.gap(began, began.Add(untold-minute)); last < untold-2*minute || last > untold+minute || gap > minute+lookAhead {
		t.Errorf("the last call came %v after the alert, the longest gap before was %v", last, gap)
	}
	s.telegram.Always("", telegramtest.OK())
	back := time.Now()
	until(t, time.Minute, "DEADMAN_URL is called again", func() bool { return len(dog.after(back)) > 0 })
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: "Telegram answers 502 for 14 min (DEADMAN_URL)", Rounds: 1,
		Must: "called until an alert has waited for 10 min, then not until it is told" + scale,
		Seen: fmt.Sprintf("the last call %.1f min after the alert; called again %.1f s after Telegram was back",
			last.Seconds()/minute.Seconds(), dog.after(back)[0].Sub(back).Seconds()),
	})
}

// keepsSecret lets calls fail in several ways and looks for the address in every log and figure.
func (w *world) keepsSecret(t *testing.T, dog *watchdog) {
	dog.fail(true)
	const failed = `gensyn_notifier_deadman_calls_total{result="failed"}`
	grown(t, "a call fails", failed, w.Notifiers, func() {})
	dog.server.CloseClientConnections()
	dog.server.Close()
	for range 2 { // the first may have been on its way
		grown(t, "another call fails", failed, w.Notifiers, func() {})
	}
	logs, err := filepath.Glob(filepath.Join(w.dir, "*.log"))
	if err != nil || len(logs) < 9 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	said := false
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(data), "dead-key") {
			t.Errorf("%s: %v, or the address is in it", path, err)
		}
		said = said || strings.Contains(string(data), "DEADMAN_URL was called in vain") && strings.Contains(string(data), "it refuses connections")
	}
	for _, i := range w.Services() {
		if strings.Contains(metrics(i), "dead-key") {
			t.Errorf("the address is among the figures of %s", i.Name)
		}
	}
	if !said {
		t.Error("no log says why the calls failed")
	}
}
