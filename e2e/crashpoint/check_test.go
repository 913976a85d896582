package crashpoint_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/rig"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// get returns what an address answers, "" for nothing.
func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

func gauge(t *testing.T, s *rig.Service, line string) bool {
	return strings.Contains(get(t, "http://"+s.Metrics+"/metrics"), "\n"+line+"\n")
}

func (m *monitor) has(t *testing.T, web *rig.Service, id string) bool {
	return strings.Contains(get(t, web.URL+"/api/nodes"), `"node_id":"`+id+`"`)
}

// remove asks for a node's deletion and returns the status, 0 for no answer.
func (m *monitor) remove(t *testing.T, web *rig.Service, id string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, web.URL+"/api/nodes/"+id, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// outcome is what all crashes together have led to.
type outcome struct {
	acked, missing, transitions, untold int
	told, repeated                      map[string]int // by chat: alerts; messages accepted once more
}

// check compares what is left behind with what should be.
func (m *monitor) check(t *testing.T) {
	m.fleet.Close()
	for _, s := range m.ingests {
		must(t, s.Stop())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	record, err := m.ReadRecord(ctx, settings)
	must(t, err)
	acked := m.fleet.Acknowledged()
	missing := record.Missing(acked)
	if len(missing) > 0 {
		t.Errorf("acknowledged and not in the stream: %+v", missing)
	}
	compare(t, record)
	m.checkScripts(t, record, acked)
	o := outcome{acked: len(acked), missing: len(missing), told: map[string]int{}, repeated: map[string]int{}}
	for _, e := range record.Events {
		if e.Kind == node.Changed {
			o.transitions++
		}
	}
	for _, chat := range chats {
		telling, repeated := m.checkTold(ctx, t, chat)
		o.told[chat], o.repeated[chat] = telling.Alerts, repeated
		o.untold += telling.Untold
	}
	m.tell(t, o)
}

func compare(t *testing.T, r *rig.Record) {
	t.Helper()
	if !slices.Equal(r.Got, r.Want) {
		i := 0
		for i < min(len(r.Got), len(r.Want)) && r.Got[i] == r.Want[i] {
			i++
		}
		t.Errorf("%d events, want %d; from event %d:\n%v\nwant\n%v", len(r.Got), len(r.Want), i, r.Got[i:min(i+5, len(r.Got))], r.Want[i:min(i+5, len(r.Want))])
	}
	for id, want := range r.WantStates {
		if r.GotStates[id] != want {
			t.Errorf("%s is %q, want %q", id, r.GotStates[id], want)
		}
	}
}

// checkScripts compares each node's transitions with what its agent did: none is lost but those that fell silent.
func (m *monitor) checkScripts(t *testing.T, r *rig.Record, acked []rig.Acknowledged) {
	said := map[string][]string{}
	for _, a := range acked {
		if s := said[a.NodeID]; len(s) == 0 || s[len(s)-1] != a.Status {
			said[a.NodeID] = append(s, a.Status)
		}
	}
	became := map[string][]string{}
	for _, e := range r.Events {
		if e.Kind == node.Joined || e.Kind == node.Changed {
			became[e.NodeID] = append(became[e.NodeID], strings.ToUpper(string(e.To)))
		}
		if e.Kind == node.Blind || e.Kind == node.Deaf || e.Kind == node.Stalled {
			t.Errorf("the monitor was blind although an ingest always ran: %+v", e.Event)
		}
	}
	for id, want := range said {
		if id != "sleeper" && !slices.Equal(became[id], want) {
			t.Errorf("%s became %v, its agent said %v", id, became[id], want)
		}
	}
	if lost := slices.Index(became["sleeper"], "LOST"); lost < 0 {
		t.Error("the node that fell silent was never lost")
	}
}

// checkTold compares the record with what Telegram accepted.
func (m *monitor) checkTold(ctx context.Context, t *testing.T, chat string) (telling rig.Telling, repeated int) {
	t.Helper()
	telling, err := m.AwaitTold(ctx, chat)
	if err != nil {
		t.Error(err)
	}
	recorded := map[int64]rig.Letter{}
	for _, l := range telling.Letters {
		recorded[l.MessageID] = l
	}
	for _, message := range m.telegram.Messages() {
		if message.Chat != chat {
			continue
		}
		letter, ok := recorded[message.ID]
		switch {
		case ok && letter.Text != message.Text:
			t.Errorf("chat %s: message %d is\n%s\nrecorded is\n%s", chat, message.ID, message.Text, letter.Text)
		case ok:
			delete(recorded, message.ID)
		case slices.ContainsFunc(telling.Letters, func(l rig.Letter) bool { return l.Text == message.Text && l.MessageID > message.ID }):
			repeated++ // the same frozen text was accepted again, and recorded then
		default:
			t.Errorf("chat %s: told without a record:\n%s", chat, message.Plain)
		}
	}
	for id := range recorded {
		t.Errorf("chat %s: recorded as message %d, which Telegram does not have", chat, id)
	}
	if must, may := m.repeats(chat); repeated < must || repeated > may {
		t.Errorf("chat %s: %d messages were repeated, want %d to %d", chat, repeated, must, may)
	}
	return telling, repeated
}

// repeats is how many crashes of the chat's notifiers must repeat a message, and how many may: who renews a lease crashes
// beside the one that tells, at whatever moment of a telling.
func (m *monitor) repeats(chat string) (must, may int) {
	for i, p := range points("notifier") {
		switch {
		case chats[i%len(chats)] != chat:
		case p.Repeats:
			must, may = must+1, may+1
		case p.Name == "notifier.renewed":
			may++
		}
	}
	return must, may
}

// limits are how long it may take until another does the work of a process that was killed.
var limits = map[string]time.Duration{
	"ingest": 3 * time.Second, "evaluator": 6 * time.Second, "notifier": 15 * time.Second, "web": 5 * time.Second,
}

// tell reports a row for each program.
func (m *monitor) tell(t *testing.T, o outcome) {
	told, repeated := 0, 0
	for _, chat := range chats {
		told, repeated = told+o.told[chat], repeated+o.repeated[chat]
	}
	for _, program := range []string{"ingest", "evaluator", "notifier", "web"} {
		seen, n := m.seen[program], len(points(program))
		if len(seen) != n {
			t.Errorf("%s: %d crashes of %d", program, len(seen), n)
			continue
		}
		slices.Sort(seen)
		median, most := seen[n/2], seen[n-1]
		if most > limits[program] {
			t.Errorf("%s: another took over after %v, want %v at most", program, most, limits[program])
		}
		again := 0
		if program == "notifier" {
			again = repeated
		}
		reliability.Report(t, reliability.Row{
			Group: "Crash points", Rounds: n,
			Fault: fmt.Sprintf("kill -9 of one of two of %s, at each of its %d named steps", program, n),
			Must: fmt.Sprintf("another does the work within %v; nothing acknowledged is lost, no transition is lost or doubled; "+
				"a message is repeated only when Telegram's ok was not recorded yet", limits[program]),
			Seen: fmt.Sprintf("another after %.1f s (median), %.1f s at most; of %d acknowledged heartbeats %d lost, "+
				"%d transitions equal to the reference fold, %d alerts told in %d chats, %d lost, %d repeated",
				median.Seconds(), most.Seconds(), o.acked, o.missing, o.transitions, told, len(chats), o.untold, again),
		})
	}
}
