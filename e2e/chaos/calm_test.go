package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
)

const (
	// brisk is the threshold for faults that happen one at a time: a node is unheard for four seconds where an ingest freezes.
	brisk = 6 * time.Second
	// tenMinutes is ten minutes where the threshold is brisk and not 180 s.
	tenMinutes = 10 * time.Minute / (180 * time.Second / brisk)
	// many is how many nodes report while one fault happens.
	many = 20
)

// alone is a world for faults that happen one at a time: nothing else fails, and no healthy node may be told lost. They
// mostly wait, so that several worlds may run at a time (-parallel). In the short form each has one nats-server, which
// is ready at once.
func alone(t *testing.T, o options) *world {
	t.Helper()
	t.Parallel()
	o.threshold = brisk
	if testing.Short() {
		o.servers = 1
	}
	return start(t, o)
}

// rounds is how many times a fault is tried.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 3
}

// healthy is a fleet in which nothing fails: whatever is told of its nodes but that they joined is false.
func healthy(t *testing.T, w *world) (f *fleet.Fleet, stop func()) {
	t.Helper()
	f = w.fleet("calm", many)
	stop = run(t.Context(), f)
	w.awaitAllUp(t)
	return f, stop
}

// fleet is some agents that report to both ingests.
func (w *world) fleet(prefix string, n int) *fleet.Fleet {
	return fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL, w.Ingests[1].URL}, Secret: secret, Prefix: prefix, Nodes: n,
		Interval: 1100 * time.Millisecond, Seed: 7,
	})
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

// await waits until a query answers true, and returns how long that took.
func (w *world) await(t *testing.T, limit time.Duration, what, query string, args ...any) time.Duration {
	t.Helper()
	c := w.database(t)
	defer c.Close(context.WithoutCancel(t.Context()))
	return until(t, limit, what, func() (ok bool) {
		if err := c.QueryRow(t.Context(), query, args...).Scan(&ok); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return ok
	})
}

// until waits for something, and returns how long it took.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func (w *world) awaitAllUp(t *testing.T) {
	t.Helper()
	w.await(t, 40*time.Second, "all nodes are up", `SELECT count(*) = $1 FROM nodes WHERE state = 'up' AND id LIKE 'calm-%'`, many)
}

// lastEvent is the stamp of the last event so far.
func (w *world) lastEvent(t *testing.T) (at int64) {
	t.Helper()
	c := w.database(t)
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), `SELECT coalesce(max(at), 0) FROM events`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}

// toldLost is how many of the healthy nodes people were told to be lost since then.
func (w *world) toldLost(t *testing.T, since int64) (n int) {
	t.Helper()
	c := w.database(t)
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE at > $1 AND node_id LIKE 'calm-%' AND NOT quiet`,
		since).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// metrics is the page of an instance's figures, "" when it does not answer.
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

// figure is the value of one metric as it is written, "" for none.
func figure(i *cluster.Instance, name string) string {
	for line := range strings.Lines(metrics(i)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// counter is the value of a counter, once the instance answers.
func counter(t *testing.T, i *cluster.Instance, name string) (value float64) {
	t.Helper()
	until(t, 10*time.Second, i.Name+" shows its figures", func() bool {
		page := metrics(i)
		for line := range strings.Lines(page) {
			if text, ok := strings.CutPrefix(line, name+" "); ok {
				value, _ = strconv.ParseFloat(strings.TrimSpace(text), 64)
			}
		}
		return page != ""
	})
	return value
}

// grown waits for the one of some instances whose counter has grown since it was called.
func grown(t *testing.T, what, name string, list []*cluster.Instance, do func()) (who *cluster.Instance) {
	t.Helper()
	before := make(map[*cluster.Instance]float64)
	for _, i := range list {
		before[i] = counter(t, i, name)
	}
	do()
	until(t, 20*time.Second, what, func() bool {
		for _, i := range list {
			if counter(t, i, name) > before[i] {
				who = i
			}
		}
		return who != nil
	})
	return who
}

func restart(t *testing.T, i *cluster.Instance) {
	t.Helper()
	if err := i.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// post sends one heartbeat to an ingest, and returns the status; 0 for no answer.
func post(t *testing.T, i *cluster.Instance, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+"/api/heartbeat", strings.NewReader(body))
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

// spread says the median and the most of some times.
func spread(times []time.Duration) string {
	s := slices.Sorted(slices.Values(times))
	if len(s) == 1 {
		return fmt.Sprintf("%.1f s", s[0].Seconds())
	}
	return fmt.Sprintf("%.1f s median, %.1f s at most", s[len(s)/2].Seconds(), s[len(s)-1].Seconds())
}

// within fails the test when one of the times is over the limit.
func within(t *testing.T, times []time.Duration, limit time.Duration) {
	t.Helper()
	if testing.Short() {
		limit += 2 * time.Second // other tests run beside
	}
	if most := slices.Max(times); most > limit {
		t.Errorf("it took %v, want %v", most, limit)
	}
}

// audited stops everything and fails the test for whatever was lost, made up or told wrongly. It returns what was repeated.
func (w *world) audited(t *testing.T, stop func(), fleets ...*fleet.Fleet) int {
	t.Helper()
	v := w.rest(t, stop, fleets...)
	t.Log(v)
	for _, e := range v.Errors() {
		t.Error(e)
	}
	return len(v.Repeats)
}
