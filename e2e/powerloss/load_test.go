package powerloss

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	secret = "power-loss-secret"
	chat   = "100"
	nodes  = 10
)

// environment is what all services are configured with.
func environment(telegram *telegramtest.Server) []string {
	return []string{
		// Nobody falls silent here: the load rests while messages are told, which takes 15 s after many.
		"SHARED_SECRET=" + secret, "DOWN_THRESHOLD_SEC=120", "TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
		"TELEGRAM_CHAT_ID=" + chat, "TELEGRAM_API_URL=" + telegram.URL(), "TZ=UTC",
	}
}

func fakeTelegram(t *testing.T) *telegramtest.Server {
	s := telegramtest.New()
	t.Cleanup(s.Close)
	return s
}

// heartbeat is one that was sent: the journal's position before, and after the answer 200.
type heartbeat struct{ sent, acked int }

// world is what people outside the monitor know: which heartbeats were acknowledged, and what was told, each with the
// journal's position at that moment.
type world struct {
	machine *Machine
	mu      sync.Mutex
	beats   map[string][]heartbeat
	told    []telegramtest.Message
	toldAt  []int
}

// watch notes what Telegram accepts, before the notifier has the answer.
func (w *world) watch(telegram *telegramtest.Server) {
	telegram.Watch(func(m telegramtest.Message) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told, w.toldAt = append(w.told, m), append(w.toldAt, w.machine.Position())
	})
}

// perNode is how often each node reports before the cut: more than ingest takes at once from one node.
const perNode = 12

// send runs nodes that report about five times a second, up and down in turn: notifications are told at one a second, and
// the power is to go between heartbeats, too, after two of them.
func (w *world) send(t *testing.T, ingest string) {
	t.Helper()
	w.beats = map[string][]heartbeat{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			id := fmt.Sprintf("load-%02d", i)
			for n := range perNode {
				h, ok := w.one(t, ctx, ingest, id, n)
				if !ok {
					return
				}
				w.mu.Lock()
				w.beats[id] = append(w.beats[id], h)
				w.mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// one sends a heartbeat until it is taken; not ok, and the test has failed, when the time is over.
func (w *world) one(t *testing.T, ctx context.Context, ingest, id string, n int) (heartbeat, bool) {
	h := heartbeat{sent: w.machine.Position()}
	body := fmt.Sprintf(`{"node_id":"%s","status":"%s","meta":"%d","boot_id":"before","seq":%d}`, id, []string{"UP", "DOWN"}[n%2], n, n+1)
	for {
		code := post(t, ingest, body)
		h.acked = w.machine.Position()
		switch code {
		case http.StatusOK:
			return h, true
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, 0: // an agent tries again, too
		default:
			t.Errorf("heartbeat: %d", code)
			return h, false
		}
		select {
		case <-ctx.Done():
			t.Errorf("ingest does not take heartbeat %d of %s: %d", n, id, code)
			return h, false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// agents are the nodes' side of HTTP.
var agents = &http.Client{Timeout: 10 * time.Second}

func post(t *testing.T, ingest, body string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ingest+"/api/heartbeat", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := agents.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// verdict is what one cut did.
type verdict struct {
	acked, lost, doubled int // heartbeats that were acknowledged before the cut; transitions missing, and too many
	falseLost            int
	alerts, repeated     int           // notifications accepted in all; of them a second time
	back                 time.Duration // from the start until every node's row was current
}

func (v *verdict) add(o verdict) {
	v.acked, v.lost, v.doubled, v.falseLost = v.acked+o.acked, v.lost+o.lost, v.doubled+o.doubled, v.falseLost+o.falseLost
	v.alerts, v.repeated, v.back = v.alerts+o.alerts, v.repeated+o.repeated, max(v.back, o.back)
}

func (v verdict) String() string {
	return fmt.Sprintf("%d heartbeats acknowledged before the cuts, each a transition: %d lost, %d doubled, %d false LOST; %d notifications, %d of them the frozen one again; all current %.1f s after the start at most",
		v.acked, v.lost, v.doubled, v.falseLost, v.alerts, v.repeated, v.back.Seconds())
}

// goOn lets all nodes report every second to an ingest that may not be there yet, as agents do, until stop.
func (w *world) goOn(t *testing.T, ingest string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for id := range w.beats {
		wg.Go(func() {
			for ctx.Err() == nil {
				pause := time.Second
				if post(t, ingest, fmt.Sprintf(`{"node_id":"%s","status":"UP","meta":"again"}`, id)) != http.StatusOK {
					pause = 50 * time.Millisecond
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// judge compares the database of the monitor that was started at began on what survived, and what it tells, with what
// was known outside at the position. All nodes report to it meanwhile, and are up.
func (w *world) judge(t *testing.T, position int, telegram *telegramtest.Server, db *sql.DB, began time.Time) verdict {
	t.Helper()
	await(t, 20*time.Second, "current rows", func() bool {
		return count(t, db, `SELECT count(*) FROM nodes WHERE meta = 'again'`) == len(w.beats)
	})
	v := verdict{back: time.Since(began)}
	await(t, 40*time.Second, "end of untold alerts", func() bool {
		return count(t, db, `SELECT count(*) FROM events e LEFT JOIN deliveries d ON d.event_id = e.id LEFT JOIN notifications n
			ON n.id = d.notification WHERE CAST(e.quiet AS INTEGER) = 0 AND n.told_at IS NULL
			AND COALESCE(d.held || d.untold, '') = ''`) == 0
	})
	w.compareTransitions(t, position, db, &v)
	w.compareAlerts(t, position, telegram, db, &v)
	return v
}

func count(t *testing.T, db *sql.DB, query string) int {
	t.Helper()
	var n int
	must(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// compareTransitions counts each node's: one for every heartbeat, up first, and one more for the last report when the
// node was down before. So their number is odd, and between what was acknowledged and what was sent before the cut.
func (w *world) compareTransitions(t *testing.T, position int, db *sql.DB, v *verdict) {
	t.Helper()
	got := w.transitions(t, db, v)
	for id, beats := range w.beats {
		acked, sent := 0, 0
		for _, b := range beats {
			if b.acked <= position {
				acked++
			}
			if b.sent <= position {
				sent++
			}
		}
		v.acked += acked
		v.lost += max(0, (acked|1)-got[id])
		v.doubled += max(0, got[id]-(sent|1))
		if got[id]%2 == 0 {
			t.Errorf("%s made %d transitions, an even number: it does not end up", id, got[id])
		}
	}
}

func (w *world) transitions(t *testing.T, db *sql.DB, v *verdict) map[string]int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT node_id, to_state FROM events WHERE node_id <> '' ORDER BY partition, epoch, seq, ordinal`)
	must(t, err)
	defer rows.Close()
	n, last := map[string]int{}, map[string]string{}
	for rows.Next() {
		var id, to string
		must(t, rows.Scan(&id, &to))
		if to == "lost" {
			v.falseLost++
			t.Errorf("%s was lost although only the power was", id)
		}
		if to == last[id] {
			v.doubled++
		}
		n[id]++
		last[id] = to
	}
	must(t, rows.Err())
	return n
}

// compareAlerts wants each notification on record to have been accepted once, and nothing else: but the last one before
// the cut may have been accepted without a record, and then comes a second time, word for word.
func (w *world) compareAlerts(t *testing.T, position int, telegram *telegramtest.Server, db *sql.DB, v *verdict) {
	t.Helper()
	accepted, last := map[string]int{}, ""
	for i, m := range w.told {
		if w.toldAt[i] <= position {
			accepted[m.Text]++
			last = m.Text
			v.alerts++
		}
	}
	for _, m := range telegram.Messages() {
		accepted[m.Text]++
		v.alerts++
	}
	rows, err := db.QueryContext(t.Context(), `SELECT html FROM notifications`)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		accepted[text]--
		switch n := accepted[text]; {
		case n < 0:
			t.Errorf("recorded as told, but Telegram never had it:\n%s", text)
		case n == 1 && text == last:
			v.repeated++
			delete(accepted, text)
		}
	}
	must(t, rows.Err())
	for text, n := range accepted {
		if n > 0 {
			t.Errorf("told %d times more than it is on record:\n%s", n, text)
		}
	}
}

// sound fails the test unless nothing went wrong.
func (v verdict) sound(t *testing.T) {
	t.Helper()
	var errs []error
	if v.lost > 0 || v.doubled > 0 || v.falseLost > 0 {
		errs = append(errs, errors.New("transitions were lost, doubled or false"))
	}
	if v.acked < nodes || v.alerts == 0 {
		errs = append(errs, errors.New("the load was too light"))
	}
	if len(errs) > 0 {
		t.Errorf("%v: %v", errors.Join(errs...), v)
	}
}

// awaitTold waits until Telegram has more notifications than may be told again, so that a lost record shows. All nodes flap
// by now, and are told no more: where the notifier was slow, two notifications may have told all there was. Then others join.
func (w *world) awaitTold(t *testing.T, ingest string) {
	t.Helper()
	const enough, patience = 3, 20 * time.Second
	for late := range 6 {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if len(w.times()) >= enough {
				return
			}
		}
		id := fmt.Sprintf("late-%02d", late)
		h, ok := w.one(t, t.Context(), ingest, id, 0)
		if !ok {
			t.FailNow()
		}
		w.beats[id] = []heartbeat{h}
	}
	t.Fatalf("%d notifications before the cut, want %d", len(w.times()), enough)
}

// times are the positions at which Telegram accepted notifications.
func (w *world) times() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.toldAt)
}

// later are moments from which on something was at stake: all nodes had reported, and two notifications were told.
func (w *world) later(t *testing.T, chance *rand.Rand, from, n int) []int {
	t.Helper()
	var acked []int
	for _, beats := range w.beats {
		acked = append(acked, beats[0].acked)
	}
	if len(acked) < nodes {
		t.Fatalf("only %d nodes reported", len(acked))
	}
	return moments(t, w.machine, chance, max(from, slices.Max(acked), w.times()[1]), w.machine.Position(), n)
}
