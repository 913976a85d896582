package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

// brisk is the threshold for faults that happen one at a time.
const brisk = 5 * time.Second

// healthy is a fleet in which nothing fails: whatever is told of its nodes but that they joined is false.
func healthy(t *testing.T, w *world, prefix string) (f *fleet.Fleet, stop func()) {
	t.Helper()
	f = fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL, w.Ingests[1].URL}, Secret: secret, Prefix: prefix, Nodes: 20,
		Interval: 1100 * time.Millisecond, Seed: 7,
	})
	stop = run(t.Context(), f)
	w.await(t, 20*time.Second, "all nodes are up", func(ctx context.Context, c *pgx.Conn) (bool, error) {
		var n int
		err := c.QueryRow(ctx, `SELECT count(*) FROM nodes WHERE state = 'up' AND id LIKE $1`, prefix+"-%").Scan(&n)
		return n == 20, err
	})
	return f, stop
}

// database is a connection of the test's own, without a link.
func (w *world) database(t *testing.T) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), w.Postgres.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

// await waits until the database says so, and returns how long it took.
func (w *world) await(t *testing.T, limit time.Duration, what string, ok func(context.Context, *pgx.Conn) (bool, error)) time.Duration {
	t.Helper()
	c := w.database(t)
	defer c.Close(context.WithoutCancel(t.Context()))
	began := time.Now()
	for {
		done, err := ok(t.Context(), c)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if done {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// owner is the evaluator that folds, and its term.
func (w *world) owner(t *testing.T) (*cluster.Instance, int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, i := range w.Evaluators {
			if strings.Contains(metrics(i), "gensyn_evaluator_lease_held 1") {
				return i, w.term(t)
			}
		}
	}
	t.Fatal("no evaluator folds")
	return nil, 0
}

func (w *world) term(t *testing.T) (term int64) {
	t.Helper()
	c := w.database(t)
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), `SELECT term FROM partitions WHERE partition = 0`).Scan(&term); err != nil {
		t.Fatal(err)
	}
	return term
}

func metrics(i *cluster.Instance) string {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get("http://" + i.Metrics + "/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	buf := new(strings.Builder)
	if err := resp.Write(buf); err != nil {
		return ""
	}
	return buf.String()
}

// takenOver waits until another evaluator has committed, under a higher term, a message that was stored after now.
func (w *world) takenOver(t *testing.T, term int64, limit time.Duration) time.Duration {
	t.Helper()
	stamp := time.Now().UnixNano()
	return w.await(t, limit+10*time.Second, "another evaluator folds", func(ctx context.Context, c *pgx.Conn) (ok bool, err error) {
		err = c.QueryRow(ctx, `SELECT term > $1 AND stamp > $2 FROM partitions WHERE partition = 0`, term, stamp).Scan(&ok)
		return ok, err
	})
}

// spread says the median and the most of some times.
func spread(times []time.Duration) string {
	s := slices.Sorted(slices.Values(times))
	return fmt.Sprintf("%.1f s median, %.1f s at most", s[len(s)/2].Seconds(), s[len(s)-1].Seconds())
}

// One fault at a time, each with its outcome and limit.
func TestFaults(t *testing.T) {
	w := start(t, brisk)
	f, stop := healthy(t, w, "calm")
	defer stop()
	t.Run("owner killed", func(t *testing.T) {
		w.testTakeOver(t, 6*time.Second, "the evaluator that folds is killed (kill -9)", func(i *cluster.Instance) func() {
			i.Kill()
			return func() { restart(t, i) }
		})
	})
	t.Run("owner frozen", func(t *testing.T) {
		w.testTakeOver(t, 10*time.Second, "the evaluator that folds is frozen (SIGSTOP) and thawed after the take-over",
			func(i *cluster.Instance) func() {
				i.Freeze()
				return i.Thaw
			})
	})
	t.Run("owner cut off from the database", func(t *testing.T) {
		w.testTakeOver(t, 10*time.Second, "the evaluator that folds is cut off from Postgres (packets lost)",
			func(i *cluster.Instance) func() {
				i.Database.Hold(true)
				return func() { i.Database.Hold(false) }
			})
	})
	t.Run("Postgres off", func(t *testing.T) { w.testPostgresOff(t, f) })
	t.Run("NATS off", func(t *testing.T) { w.testNATSOff(t, f) })
	t.Run("agents cut off", func(t *testing.T) {
		w.testFrontDoor(t, "agents cut off from every ingest (packets lost) while ingest runs", "deaf", func() func() {
			for _, i := range w.Ingests {
				i.Front.Hold(true)
			}
			return func() {
				for _, i := range w.Ingests {
					i.Front.Hold(false)
				}
			}
		})
	})
	t.Run("wrong secret", func(t *testing.T) {
		w.testFrontDoor(t, "a wrong secret is rolled out to every ingest", "deaf", func() func() {
			w.roll(t, "SHARED_SECRET=wrong")
			return func() { w.roll(t, "SHARED_SECRET="+secret) }
		})
	})
	t.Run("all ingests killed", func(t *testing.T) {
		w.testFrontDoor(t, "all ingests killed (kill -9)", "blind", func() func() {
			for _, i := range w.Ingests {
				i.Kill()
			}
			return func() {
				for _, i := range w.Ingests {
					restart(t, i)
				}
			}
		})
	})
	t.Run("all of it", func(t *testing.T) {
		v := w.rest(t, f, stop)
		t.Log(v)
		for _, e := range v.Errors() {
			t.Error(e)
		}
		if len(v.Repeats) > 0 {
			t.Errorf("told twice: %v", v.Repeats)
		}
	})
}

func restart(t *testing.T, i *cluster.Instance) {
	t.Helper()
	if err := i.Start(t.Context()); err != nil {
		t.Error(err)
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

func (w *world) testTakeOver(t *testing.T, limit time.Duration, what string, do func(*cluster.Instance) (undo func())) {
	const rounds = 3
	var took []time.Duration
	for range rounds {
		if err := w.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		owner, term := w.owner(t)
		undo := do(owner)
		took = append(took, w.takenOver(t, term, limit))
		undo()
		w.awaitStandby(t, owner)
		if now := w.term(t); now != term+1 {
			t.Errorf("term %d after %d: the former owner took something back", now, term)
		}
	}
	if most := slices.Max(took); most > limit {
		t.Errorf("taken over after %v, want %v", most, limit)
	}
	reliability.Report(t, reliability.Row{
		Group: "Evaluator", Fault: what, Must: fmt.Sprintf("the other folds within %v; the former owner changes nothing", limit),
		Seen: "new commits after " + spread(took), Rounds: rounds,
	})
}

// awaitStandby waits until the former owner runs and knows that it is none.
func (w *world) awaitStandby(t *testing.T, i *cluster.Instance) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if m := metrics(i); strings.Contains(m, "gensyn_evaluator_lease_held 0") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not stand by", i.Name)
		}
	}
}

// off is how long a dependency is away in the short run.
const off = 2*brisk + 2*time.Second

func (w *world) testPostgresOff(t *testing.T, f *fleet.Fleet) {
	before := f.Answers()
	if err := w.Postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(off)
	after := f.Answers()
	if err := w.Postgres.Restart(); err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for status, n := range after {
		if status == http.StatusOK {
			accepted += n - before[status]
		} else {
			refused += n - before[status]
		}
	}
	if refused > 0 || accepted == 0 {
		t.Errorf("%d accepted, %d refused or unanswered while Postgres was off", accepted, refused)
	}
	took := w.caughtUp(t)
	reliability.Report(t, reliability.Row{
		Group: "Postgres", Fault: fmt.Sprintf("Postgres killed, back after %v", off), Must: "ingest keeps answering 200; all is folded afterwards",
		Seen:   fmt.Sprintf("%d heartbeats answered 200, %d not; folded to the end %.1f s after it was back", accepted, refused, took.Seconds()),
		Rounds: 1,
	})
}

// caughtUp waits until a message that is stored after now is committed.
func (w *world) caughtUp(t *testing.T) time.Duration {
	t.Helper()
	return w.takenOver(t, 0, 30*time.Second)
}

func (w *world) testNATSOff(t *testing.T, f *fleet.Fleet) {
	for _, p := range w.NATS {
		p.Kill()
	}
	time.Sleep(time.Second)
	before, slowest := f.Answers(), time.Duration(0)
	for deadline := time.Now().Add(off); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		began := time.Now()
		status := w.post(t, `{"node_id":"calm-000","status":"UP"}`)
		slowest = max(slowest, time.Since(began))
		if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			t.Errorf("without NATS: %d, want 503", status)
		}
	}
	after := f.Answers()
	if err := cluster.StartAll(t.Context(), w.NATS); err != nil {
		t.Fatal(err)
	}
	took := w.caughtUp(t)
	if slowest > 2500*time.Millisecond {
		t.Errorf("503 after %v, want 2 s", slowest)
	}
	if n := after[http.StatusOK] - before[http.StatusOK]; n > 0 {
		t.Errorf("%d heartbeats were answered 200 without NATS", n)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: fmt.Sprintf("all nats-servers killed, back after %v", off), Must: "503 within 2 s; heartbeats flow again by themselves",
		Seen: fmt.Sprintf("%d × 503, the slowest after %.1f s; folding again %.1f s after NATS was back",
			after[http.StatusServiceUnavailable]-before[http.StatusServiceUnavailable], slowest.Seconds(), took.Seconds()),
		Rounds: 1,
	})
}

// post sends one heartbeat to the first ingest.
func (w *world) post(t *testing.T, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Ingests[0].URL+"/api/heartbeat", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// testFrontDoor closes the way in for three thresholds: people get one monitor event, and no node is told lost.
func (w *world) testFrontDoor(t *testing.T, what, kind string, close func() (open func())) {
	since := w.lastEvent(t)
	began := time.Now()
	open := close()
	var told time.Duration
	if kind == "deaf" {
		told = w.awaitMonitorEvent(t, since, kind, 3*brisk)
	}
	time.Sleep(time.Until(began.Add(3 * brisk)))
	open()
	if kind == "blind" {
		told = w.awaitMonitorEvent(t, since, kind, 3*brisk)
	}
	w.awaitAllUp(t)
	time.Sleep(brisk + time.Second) // whoever is to be lost for it would be by now
	c := w.database(t)
	var lost, events int
	if err := c.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE to_state = 'lost' AND NOT quiet),
		count(*) FILTER (WHERE kind = $2 AND NOT quiet) FROM events WHERE at > $1`, since, kind).Scan(&lost, &events); err != nil {
		t.Fatal(err)
	}
	if lost > 0 || events != 1 {
		t.Errorf("%d healthy nodes told lost, %d events %q; want 0 and 1", lost, events, kind)
	}
	when := fmt.Sprintf("%.1f s after it began", told.Seconds())
	if kind == "blind" {
		when = fmt.Sprintf("%.1f s after it was over", told.Seconds())
	}
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: fmt.Sprintf("%s, for %v", what, 3*brisk),
		Must: fmt.Sprintf("no LOST told of 20 healthy nodes; one monitor event (threshold %v)", brisk),
		Seen: fmt.Sprintf("%d told lost; %d × %s, %s", lost, events, kind, when), Rounds: 1,
	})
}

func (w *world) lastEvent(t *testing.T) (at int64) {
	t.Helper()
	if err := w.database(t).QueryRow(t.Context(), `SELECT coalesce(max(at), 0) FROM events`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}

func (w *world) awaitMonitorEvent(t *testing.T, since int64, kind string, limit time.Duration) time.Duration {
	t.Helper()
	return w.await(t, limit, "a monitor event "+kind, func(ctx context.Context, c *pgx.Conn) (ok bool, err error) {
		err = c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM events WHERE kind = $2 AND NOT quiet AND at > $1)`, since, kind).Scan(&ok)
		return ok, err
	})
}

func (w *world) awaitAllUp(t *testing.T) {
	t.Helper()
	w.await(t, 30*time.Second, "all nodes are up again", func(ctx context.Context, c *pgx.Conn) (ok bool, err error) {
		err = c.QueryRow(ctx, `SELECT count(*) = 20 FROM nodes WHERE state = 'up'`).Scan(&ok)
		return ok, err
	})
}

// Hundreds of nodes may share one address, and one of them may have a wrong secret: the others are let in.
func TestManyBehindOneAddress(t *testing.T) {
	const many = 2000
	w := start(t, 4*brisk)
	f := fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL}, Secret: secret, Prefix: "nat", Nodes: many, Interval: 10 * time.Second, Seed: 3, Old: true,
		Limit: 10 * time.Second,
	})
	wrong := fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL}, Secret: "guess", Prefix: "thief", Nodes: 20, Interval: time.Second, Seed: 4,
	})
	stop, end := run(t.Context(), f), run(t.Context(), wrong)
	w.await(t, 60*time.Second, "all nodes are up", func(ctx context.Context, c *pgx.Conn) (ok bool, err error) {
		err = c.QueryRow(ctx, `SELECT count(*) = $1 FROM nodes WHERE state = 'up'`, many).Scan(&ok)
		return ok, err
	})
	time.Sleep(12 * time.Second)
	end()
	stop()
	answers, refused := f.Answers(), wrong.Answers()
	if answers[http.StatusTooManyRequests]+answers[http.StatusUnauthorized] > 0 {
		t.Errorf("nodes with the right secret were refused: %v", answers)
	}
	if refused[http.StatusTooManyRequests] == 0 || refused[http.StatusOK] > 0 {
		t.Errorf("guesses were answered %v", refused)
	}
	reliability.Report(t, reliability.Row{
		Group: "Front door", Fault: fmt.Sprintf("%d nodes behind one address, beside 20 with a wrong secret", many),
		Must: "no authorised heartbeat is refused", Rounds: 1,
		Seen: fmt.Sprintf("%d × 200, %d × 429; the guesses: %d × 401, %d × 429", answers[200], answers[429], refused[401], refused[429]),
	})
}
