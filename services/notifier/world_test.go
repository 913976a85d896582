package notifier

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// world is a store in which nodes change, as the evaluator changes them.
type world struct {
	*evaluator
	nodes    map[string]*node.Node
	services []*running
}

// inWorlds runs a test in fake time on an empty store of each engine.
func inWorlds(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, f, "sqlite", "postgres")
}

// inWorld does so on these engines: a test of days would take long on Postgres.
func inWorld(t *testing.T, f func(t *testing.T, w *world), on ...string) {
	t.Helper()
	for _, name := range on {
		engine := engines[name]
		t.Run(name, func(t *testing.T) {
			open := engine(t)
			bubble(t, func(t *testing.T) {
				store, err := open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer store.Close()
				f(t, newWorld(t, store))
			})
		})
	}
}

func newWorld(t *testing.T, store nodestore.Store) *world {
	t.Helper()
	return &world{evaluator: newEvaluator(t, store), nodes: make(map[string]*node.Node)}
}

// name is the id of the i-th node.
func name(i int) string { return fmt.Sprintf("node-%05d", i) }

// names are the ids of nodes from one to another, not included.
func names(from, to int) (out []string) {
	for i := range to - from {
		out = append(out, name(from+i))
	}
	return out
}

// add lets nodes be up since always. Nobody is told.
func (w *world) add(t *testing.T, meta string, ids ...string) {
	t.Helper()
	var c node.Changes
	for _, id := range ids {
		n := &node.Node{ID: id, Meta: meta, State: node.Up, Told: node.Up, Since: stamp(time.Now()), Joined: 1}
		w.nodes[id] = n
		c.Nodes = append(c.Nodes, *n)
	}
	w.put(t, c)
}

// put commits changes at the next position.
func (w *world) put(t *testing.T, c node.Changes) {
	t.Helper()
	from := w.clock.Position
	w.clock.Position.Seq++
	w.clock.Position.Stamp = stamp(time.Now())
	c.Clock = w.clock
	for i := range c.Events {
		c.Events[i].ID = node.EventID{Epoch: from.Epoch, Seq: w.clock.Position.Seq, Ordinal: i}
		c.Events[i].At = w.clock.Position.Stamp
	}
	if err := w.store.Commit(t.Context(), w.lease, from, c); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.services {
		s.Wake()
	}
}

// set puts nodes into a state, all in one commit.
func (w *world) set(t *testing.T, to node.State, reason string, ids ...string) {
	t.Helper()
	now := stamp(time.Now())
	var c node.Changes
	for _, id := range ids {
		n := w.nodes[id]
		e := node.Event{Kind: node.Changed, NodeID: id, Meta: n.Meta, From: n.State, To: to, Reason: reason}
		switch to {
		case node.Up:
			e.Since, e.Lasted = n.Incident, now.Since(n.Incident)
			n.Incident = 0
		case node.Lost:
			e.Since, e.Lasted = now-node.Stamp(3*time.Minute), 3*time.Minute
		}
		if to != node.Up && n.Incident == 0 {
			n.Incident = now
		}
		n.State, n.Told, n.Reason, n.Since = to, to, reason, now
		c.Events, c.Nodes = append(c.Events, e), append(c.Nodes, *n)
	}
	w.put(t, c)
}

// wantRecord fails unless the record of each node in the chat is as wanted: one letter for each of its alerts, the
// newest last: t for told, w for waiting, h for held, u for untold.
func (w *world) wantRecord(t *testing.T, chat, want string, ids ...string) {
	t.Helper()
	wrong := 0
	for _, id := range ids {
		if got := w.record(t, chat, id); got != want {
			if wrong++; wrong < 4 {
				t.Errorf("the record of %s in %s is %q, want %q", id, chat, got, want)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d records are wrong", wrong, len(ids))
	}
}

func (w *world) record(t *testing.T, chat, id string) (out string) {
	t.Helper()
	all, err := w.store.Tellings(t.Context(), id, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range slices.Backward(all) {
		switch {
		case a.Chat != chat:
		case a.Message != 0:
			out += "t"
		case a.Held != "":
			out += "h"
		case a.Untold != "":
			out += "u"
		default:
			out += "w"
		}
	}
	return out
}

// silence adds one from now on.
func (w *world) silence(t *testing.T, scope, value string, d time.Duration) nodestore.Silence {
	t.Helper()
	s, err := w.store.AddSilence(t.Context(), nodestore.Silence{Scope: scope, Value: value, By: "ann", From: time.Now(), Until: time.Now().Add(d)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// calm is a store on which nobody looks for chats to retire, so that days pass quickly.
type calm struct{ nodestore.Deliveries }

func (calm) ChatLeases(context.Context) ([]nodestore.ChatLease, error) { return nil, nil }

// run starts a notifier. It looks by itself once a minute only, so that days pass quickly.
func (w *world) run(t *testing.T, id string, sender Sender, change func(*Options)) *running {
	t.Helper()
	o := Options{ID: id, Store: calm{w.store}, Sender: sender, Chats: []string{"1"}}
	if change != nil {
		change(&o)
	}
	if o.Timing.Lease == 0 && o.Timing.Lookback != 1 {
		o.Timing.Poll, o.Timing.Lease = cmp.Or(o.Timing.Poll, time.Minute), time.Hour
	}
	s := startWith(t, o)
	w.services = append(w.services, s)
	return s
}

var (
	titles = regexp.MustCompile(`<b>Gensyn: ([^<]*)</b>`)
	digits = regexp.MustCompile(`[0-9][0-9,]*`)
)

// counted adds up the numbers in the titles of messages; one about a single node counts as 1.
func counted(messages []sent) (sum int) {
	for _, m := range messages {
		found := titles.FindStringSubmatch(m.html)
		if found == nil {
			sum++
			continue
		}
		for _, n := range digits.FindAllString(found[1], -1) {
			n, _ := strconv.Atoi(strings.ReplaceAll(n, ",", ""))
			sum += n
		}
	}
	return sum
}

// wantTexts fails unless exactly these messages were sent since the n-th, each with all its parts.
func wantTexts(t *testing.T, messages []sent, want ...[]string) {
	t.Helper()
	if len(messages) != len(want) {
		t.Errorf("%d messages, want %d", len(messages), len(want))
	}
	for i, m := range messages {
		if i >= len(want) {
			t.Errorf("too many:\n%s", m.html)
			continue
		}
		for _, part := range want[i] {
			if absent, ok := strings.CutPrefix(part, "!"); strings.Contains(m.html, absent) == ok {
				t.Errorf("message %d: want %q in\n%s", i, part, m.html)
			}
		}
	}
}

// unsteady is a Sender that is off at times.
type unsteady struct {
	*script
	off func() bool
}

func (u unsteady) Send(ctx context.Context, chat, html string, replyTo int64) (int64, error) {
	if u.off() {
		return 0, unreachable{}
	}
	return u.script.Send(ctx, chat, html, replyTo)
}
