package chaos_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

// off is how long a dependency is away.
const off = 2*brisk + 2*time.Second

// refusedLimit is how long a heartbeat may wait for its 503: two seconds in ingest, the way there and back, and what a busy
// machine adds to the slowest of many.
const refusedLimit = 4 * time.Second

// Postgres, then NATS are away for a while.
func TestFaultsStores(t *testing.T) {
	w := alone(t, options{})
	f, stop := healthy(t, w)
	defer stop()
	late := w.fleet("late", 2)
	end := run(t.Context(), late)
	defer end()
	t.Run("Postgres off", func(t *testing.T) { w.postgresOff(t, f, late) })
	t.Run("NATS off", func(t *testing.T) { w.natsOff(t, f) })
	if n := w.audited(t, func() { stop(); end() }, f, late); n > 0 {
		t.Errorf("%d messages were told twice", n)
	}
}

// postgresOff takes Postgres away. Meanwhile one node reports that it is down, and one falls silent.
func (w *world) postgresOff(t *testing.T, f, late *fleet.Fleet) {
	w.await(t, 20*time.Second, "the nodes are up", `SELECT count(*) = 2 FROM nodes WHERE state = 'up' AND id LIKE 'late-%'`)
	since := w.lastEvent(t)
	before := f.Answers()
	if err := w.Postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	late.Set(0, fleet.Reports)
	late.Set(1, fleet.Silent)
	time.Sleep(off - 2*time.Second)
	accepted, refused := answered(before, f.Answers())
	if err := w.Postgres.Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	// A heartbeat that waits for the disk longer than two seconds is refused whatever Postgres does.
	if refused > accepted/50 || accepted < many*int(off/(2*time.Second)) {
		t.Errorf("%d accepted, %d refused or unanswered while Postgres was off", accepted, refused)
	}
	took := w.folded(t, 30*time.Second, 0)
	down, lost := w.change(t, since, "late-000", "down"), w.change(t, since, "late-001", "lost")
	truth := late.Truth()
	saidDown := firstDown(truth[0])
	lastHeard := truth[1].Acked[len(truth[1].Acked)-1].At
	wrong := max(down.Sub(saidDown).Abs(), lost.Sub(lastHeard.Add(brisk)).Abs())
	if limit := 1500 * time.Millisecond; wrong > limit || !down.Before(back) || !lost.Before(back) {
		t.Errorf("down at %v (said so at %v), lost at %v (heard at %v), database back at %v", down, saidDown, lost, lastHeard, back)
	}
	late.SetAll(fleet.Works)
	w.await(t, 20*time.Second, "the nodes are up", `SELECT count(*) = 2 FROM nodes WHERE state = 'up' AND id LIKE 'late-%'`)
	n := w.toldLost(t, since)
	if n > 0 {
		t.Errorf("%d healthy nodes were told of", n)
	}
	reliability.Report(t, reliability.Row{
		Group: "Postgres", Fault: fmt.Sprintf("Postgres killed, back after %v (threshold %v); one node reports DOWN and one falls silent meanwhile", off, brisk),
		Must: "ingest keeps answering 200; afterwards transitions have their true times (± 1.5 s); no healthy node told of",
		Seen: fmt.Sprintf("%d heartbeats answered 200, %d not; folded to the end %.1f s after it was back; times wrong by %.1f s at most; %d told of",
			accepted, refused, took.Seconds(), wrong.Seconds(), n),
		Rounds: 1,
	})
}

// answered counts answers between two looks.
func answered(before, after map[int]int) (accepted, refused int) {
	for status, n := range after {
		if n -= before[status]; status == http.StatusOK {
			accepted += n
		} else {
			refused += n
		}
	}
	return accepted, refused
}

// change waits for a node's change of state, and returns the time of it.
func (w *world) change(t *testing.T, since int64, id, to string) time.Time {
	t.Helper()
	w.await(t, 20*time.Second, id+" is "+to, `SELECT count(*) > 0 FROM events WHERE at > $1 AND node_id = $2 AND to_state = $3`, since, id, to)
	var at int64
	if err := w.database(t).QueryRow(t.Context(), `SELECT min(at) FROM events WHERE at > $1 AND node_id = $2 AND to_state = $3`,
		since, id, to).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, at)
}

// firstDown is when the node's first report of being down was acknowledged.
func firstDown(n fleet.Node) time.Time {
	for _, a := range n.Acked {
		if a.Status == "DOWN" {
			return a.At
		}
	}
	return time.Time{}
}

// natsOff kills every nats-server. What is answered 503 meanwhile is of nodes that never report else, so that each that
// lands would show.
func (w *world) natsOff(t *testing.T, f *fleet.Fleet) {
	since := w.lastEvent(t)
	for _, p := range w.NATS {
		p.Kill()
	}
	time.Sleep(time.Second) // what was acknowledged just before has reached its agent
	before, slowest, refused := f.Answers(), time.Duration(0), 0
	for deadline := time.Now().Add(off); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		began := time.Now()
		status := post(t, w.Ingests[refused%2], fmt.Sprintf(`{"node_id":"refused-%d","status":"UP"}`, refused))
		slowest = max(slowest, time.Since(began))
		if refused++; status != http.StatusServiceUnavailable {
			t.Errorf("without NATS: %d, want 503", status)
		}
	}
	accepted, others := answered(before, f.Answers())
	if err := cluster.StartAll(t.Context(), w.NATS); err != nil {
		t.Fatal(err)
	}
	took := w.folded(t, 30*time.Second, 0)
	w.awaitAllUp(t)
	time.Sleep(brisk + time.Second) // whoever is to be lost for it would be by now
	var landed int
	if err := w.database(t).QueryRow(t.Context(), `SELECT count(*) FROM events WHERE node_id LIKE 'refused-%'`).Scan(&landed); err != nil {
		t.Fatal(err)
	}
	lost := w.toldLost(t, since)
	if slowest > refusedLimit || landed > 0 || accepted > 0 || lost > 0 {
		t.Errorf("503 after %v at most; %d refused landed; %d accepted; %d healthy nodes told of", slowest, landed, accepted, lost)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: fmt.Sprintf("every nats-server killed, back after %v (threshold %v)", off, brisk),
		Must: "503 within 2 s; nothing that was answered 503 lands later; no healthy node told of; heartbeats flow again by themselves",
		Seen: fmt.Sprintf("%d × 503, the slowest after %.2f s; %d landed; %d told of; folding again %.1f s after NATS was back",
			refused+others, slowest.Seconds(), landed, lost, took.Seconds()),
		Rounds: 1,
	})
}
