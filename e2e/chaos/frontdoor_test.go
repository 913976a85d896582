package chaos_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

// slack is what does not scale with the threshold: a pulse, a commit, a wake-up and a message.
const slack = time.Second

// door is a way to close the way in.
type door struct {
	what  string
	kind  string // of the one monitor event
	close func(t *testing.T, w *world) (open func())
	names *regexp.Regexp // what people are told; nil for anything
	long  bool           // left out of the short form
	lasts time.Duration  // 0 for tenMinutes
}

// stalled is how long nothing at all may come before people are told: it does not scale.
const stalled = 30 * time.Second

var doors = map[string]door{
	"agents cut off": {
		what: "agents cut off from every ingest (packets lost) while ingest runs", kind: "deaf", long: true,
		close: func(_ *testing.T, w *world) func() {
			hold := func(on bool) {
				for _, i := range w.Ingests {
					i.Front.Hold(on)
				}
			}
			hold(true)
			return func() { hold(false) }
		},
	},
	"wrong secret": {
		what: "a wrong secret is rolled out to every ingest", kind: "deaf", names: regexp.MustCompile(`[1-9][0-9]* × 401`),
		close: func(t *testing.T, w *world) func() {
			w.roll(t, "SHARED_SECRET=wrong")
			return func() { w.roll(t, "SHARED_SECRET="+secret) }
		},
	},
	"all ingests killed":            {what: "all ingests killed (kill -9)", kind: "blind", close: killIngests},
	"all ingests killed for longer": {what: "all ingests killed (kill -9)", kind: "blind", close: killIngests, long: true, lasts: stalled + 10*time.Second},
}

func killIngests(t *testing.T, w *world) (open func()) {
	for _, i := range w.Ingests {
		i.Kill()
	}
	return func() {
		for _, i := range w.Ingests {
			restart(t, i)
		}
	}
}

// Nobody can be heard for ten minutes: people are told so once, and of no node.
func TestFaultsFrontDoor(t *testing.T) {
	w := alone(t, options{})
	f, stop := healthy(t, w)
	defer stop()
	for name, d := range doors {
		if d.long && testing.Short() {
			continue
		}
		t.Run(name, func(t *testing.T) { w.shut(t, d) })
	}
	if n := w.audited(t, stop, f); n > 0 {
		t.Errorf("%d messages were told twice", n)
	}
}

// roll starts the ingests again with another setting, as a deployment does.
func (w *world) roll(t *testing.T, setting string) {
	t.Helper()
	for _, i := range w.Ingests {
		i.Kill()
		i.Env = append(i.Env, setting)
		restart(t, i)
	}
}

// shut closes the way in. A deaf monitor says so while it lasts, a blind one afterwards.
func (w *world) shut(t *testing.T, d door) {
	lasts := d.lasts
	fault := fmt.Sprintf("%s, for %v (threshold %v)", d.what, lasts, brisk)
	if lasts == 0 {
		lasts = tenMinutes
		fault = fmt.Sprintf("%s, for 10 min at the default threshold of 180 s (here 1:%d, %.1f s at %v)", d.what,
			180*time.Second/brisk, tenMinutes.Seconds(), brisk)
	}
	since := w.lastEvent(t)
	open := d.close(t, w)
	shut := time.Now()
	from, limit, when := shut, brisk+slack, "after it began"
	if d.kind == "deaf" {
		w.awaitTold(t, since, d.kind, brisk+10*time.Second)
	}
	time.Sleep(time.Until(shut.Add(lasts)))
	open()
	if d.kind == "blind" {
		from, limit, when = time.Now(), brisk, "after it was over"
		w.awaitTold(t, since, d.kind, brisk+10*time.Second)
	}
	w.awaitAllUp(t)
	time.Sleep(brisk + time.Second) // whoever is to be lost for it would be by now
	events, at, text := w.toldOf(t, since, d.kind)
	lost, took := w.toldLost(t, since), at.Sub(from)
	if lost > 0 || events != 1 {
		t.Errorf("%d healthy nodes told of, %d events %q; want 0 and 1", lost, events, d.kind)
	}
	if took > limit {
		t.Errorf("told %v %s, want %v", took, when, limit)
	}
	must := fmt.Sprintf("one monitor event, %s, told within %v %s; none of %d healthy nodes told lost", d.kind, limit, when, many)
	seen := fmt.Sprintf("%d × %s, told %.1f s %s; %d told lost", events, d.kind, took.Seconds(), when, lost)
	if d.names != nil {
		name := d.names.FindString(text)
		if name == "" {
			t.Errorf("what people are told does not name %v:\n%s", d.names, text)
		}
		must, seen = must+"; it names the refusals", seen+fmt.Sprintf("; it names %q", name)
	}
	more, at, _ := w.toldOf(t, since, "stalled")
	if want := lasts > stalled; more > 1 || (more == 1) != want || want && at.Sub(shut) > stalled+3*time.Second {
		t.Errorf("%d events \"stalled\", told %v after it began", more, at.Sub(shut))
	} else if want {
		must += fmt.Sprintf("; that nothing comes is told once, after %v", stalled)
		seen += fmt.Sprintf("; that nothing comes, once, after %.1f s", at.Sub(shut).Seconds())
	}
	reliability.Report(t, reliability.Row{Group: "Front door", Fault: fault, Must: must, Seen: seen, Rounds: 1})
}

// awaitTold waits until people were told of a monitor event of that kind.
func (w *world) awaitTold(t *testing.T, since int64, kind string, limit time.Duration) {
	t.Helper()
	w.await(t, limit, "people are told: "+kind, `SELECT count(*) > 0 FROM events e JOIN deliveries d ON d.event_id = e.id
		JOIN notifications n ON n.id = d.notification WHERE e.kind = $2 AND e.at > $1 AND n.told_at IS NOT NULL`, since, kind)
}

// toldOf counts the events of that kind that are worth telling, and says when the last of them was told, and how.
func (w *world) toldOf(t *testing.T, since int64, kind string) (events int, at time.Time, text string) {
	t.Helper()
	var told int64
	err := w.database(t).QueryRow(t.Context(), `SELECT count(*), coalesce(max(n.told_at), 0), coalesce(max(n.html), '')
		FROM events e LEFT JOIN deliveries d ON d.event_id = e.id LEFT JOIN notifications n ON n.id = d.notification
		WHERE e.kind = $2 AND e.at > $1 AND NOT e.quiet`, since, kind).Scan(&events, &told, &text)
	if err != nil {
		t.Fatal(err)
	}
	return events, time.Unix(0, told), text
}

// Hundreds of nodes may share one address, and one of them may have a wrong secret: the others are let in.
func TestManyBehindOneAddress(t *testing.T) {
	const nodes = 2000
	w := alone(t, options{servers: 1, env: []string{"DOWN_THRESHOLD_SEC=60"}})
	f := fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL}, Secret: secret, Prefix: "nat", Nodes: nodes, Interval: 10 * time.Second, Seed: 3, Old: true,
		Limit: 10 * time.Second,
	})
	wrong := fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL}, Secret: "guess", Prefix: "thief", Nodes: 20, Interval: time.Second, Seed: 4,
	})
	stop, end := run(t.Context(), f), run(t.Context(), wrong)
	took := w.await(t, 60*time.Second, "all nodes are up", `SELECT count(*) = $1 FROM nodes WHERE state = 'up'`, nodes)
	time.Sleep(12 * time.Second)
	end()
	stop()
	answers, refused := f.Answers(), wrong.Answers()
	if answers[http.StatusTooManyRequests]+answers[http.StatusUnauthorized] > 0 || answers[http.StatusOK] < 2*nodes {
		t.Errorf("nodes with the right secret were answered %v", answers)
	}
	if refused[http.StatusUnauthorized] == 0 || refused[http.StatusTooManyRequests] == 0 || refused[http.StatusOK] > 0 {
		t.Errorf("guesses were answered %v", refused)
	}
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: fmt.Sprintf("%d nodes behind one address, beside 20 with a wrong secret", nodes),
		Must: "no authorised heartbeat is refused, no guess is let in, and guesses are slowed down", Rounds: 1,
		Seen: fmt.Sprintf("%d × 200, %d × 429, all up after %.0f s; the guesses: %d × 401, %d × 429", answers[200], answers[429],
			took.Seconds(), refused[401], refused[429]),
	})
}
