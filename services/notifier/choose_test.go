package notifier

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func routes(t *testing.T, s string) (r Routes) {
	t.Helper()
	if err := r.Decode(s); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoutes(t *testing.T) {
	r := routes(t, "dc=home -> -100123:7; team=red,gpu=h100 -> @team_red, 5;dc=home->6;")
	if got, want := r.chats(), []string{"-100123:7", "@team_red", "5", "6"}; !slices.Equal(got, want) {
		t.Errorf("chats %q, want %q", got, want)
	}
	for meta, want := range map[string][]string{
		"":                              {"1"},
		"dc=office":                     {"1"},
		"dc=home2":                      {"1"},
		"team=red":                      {"1"}, // one of two labels is not enough
		"dc=home":                       {"-100123:7", "6"},
		"gpu=h100,team=red":             {"@team_red", "5"},
		"gpu=h100 team=red;dc=home,x=y": {"-100123:7", "@team_red", "5", "6"},
	} {
		var got []string
		for _, chat := range append(r.chats(), "1") {
			if (audience{chat: chat, routes: r, def: chat == "1"}).node(meta) {
				got = append(got, chat)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q goes to %q, want %q", meta, got, want)
		}
		if !(audience{chat: "webhook", routes: r, everything: true}).node(meta) {
			t.Errorf("%q is not everything", meta)
		}
	}
	if (audience{chat: "6", routes: r}).monitor() || !(audience{chat: "1", def: true}).monitor() {
		t.Error("monitor events are for the default chats")
	}
}

func candidate(e node.Event) nodestore.Candidate {
	if e.Kind == "" {
		e.Kind = node.Changed
	}
	if e.At == 0 {
		e.At = stamp(noon)
	}
	return nodestore.Candidate{StoredEvent: nodestore.StoredEvent{Event: e}}
}

func TestChoose(t *testing.T) {
	r := routes(t, "dc=home -> 2")
	quiet := silences{
		{ID: 1, Scope: nodestore.ScopeNode, Value: "quiet", From: noon.Add(-time.Hour), Until: noon.Add(time.Hour)},
		{ID: 2, Scope: nodestore.ScopeLabel, Value: "dc=lab", From: noon.Add(-3 * time.Hour), Until: noon.Add(-2 * time.Hour)},
		{ID: 3, Scope: nodestore.ScopeNode, Value: "ended", From: noon.Add(-time.Hour), Until: noon.Add(time.Hour), Ended: noon.Add(-time.Minute)},
		{ID: 4, Scope: nodestore.ScopeAll, From: noon.Add(time.Minute), Until: noon.Add(time.Hour)},
	}
	home := node.Event{NodeID: "n", Meta: "dc=home", From: node.Up, To: node.Down}
	up := node.Event{NodeID: "n", From: node.Down, To: node.Up} // and its label is gone
	owed := candidate(up)
	owed.Owed = true
	skip, held := nodestore.Choice{Skip: true}, nodestore.Choice{Held: nodestore.Silenced}
	for name, tt := range map[string]struct {
		chat   string
		events []nodestore.Candidate
		want   []nodestore.Choice
	}{
		"routed elsewhere":                         {"1", []nodestore.Candidate{candidate(home)}, []nodestore.Choice{skip}},
		"routed here":                              {"2", []nodestore.Candidate{candidate(home)}, []nodestore.Choice{{}}},
		"a recovery goes where the failure went":   {"2", []nodestore.Candidate{candidate(home), candidate(up)}, []nodestore.Choice{{}, {}}},
		"a recovery of an older failure":           {"2", []nodestore.Candidate{owed}, []nodestore.Choice{{}}},
		"a recovery of what went elsewhere":        {"2", []nodestore.Candidate{candidate(up)}, []nodestore.Choice{skip}},
		"only the first recovery":                  {"2", []nodestore.Candidate{candidate(home), candidate(up), candidate(up)}, []nodestore.Choice{{}, {}, skip}},
		"monitor events, default chat":             {"1", []nodestore.Candidate{candidate(node.Event{Kind: node.Deaf})}, []nodestore.Choice{{}}},
		"monitor events, routed chat":              {"2", []nodestore.Candidate{candidate(node.Event{Kind: node.Deaf})}, []nodestore.Choice{skip}},
		"silenced now":                             {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "quiet", To: node.Down})}, []nodestore.Choice{held}},
		"silenced now, happened before":            {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "quiet", At: stamp(noon.Add(-2 * time.Hour))})}, []nodestore.Choice{held}},
		"silenced when it happened":                {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "n", Meta: "dc=lab", At: stamp(noon.Add(-150 * time.Minute))})}, []nodestore.Choice{held}},
		"silenced before it happened":              {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "n", Meta: "dc=lab", At: stamp(noon.Add(-2 * time.Hour))})}, []nodestore.Choice{{}}},
		"its silence was ended":                    {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "ended"})}, []nodestore.Choice{{}}},
		"it happened before its silence was ended": {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "ended", At: stamp(noon.Add(-2 * time.Minute))})}, []nodestore.Choice{held}},
		"a silence of all to come":                 {"1", []nodestore.Candidate{candidate(node.Event{NodeID: "n"})}, []nodestore.Choice{{}}},
		"a join is silenced, too":                  {"1", []nodestore.Candidate{candidate(node.Event{Kind: node.Joined, NodeID: "quiet"})}, []nodestore.Choice{held}},
	} {
		a := audience{chat: tt.chat, routes: r, def: tt.chat == "1"}
		if got := choose(a, quiet, noon, tt.events); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestSilenceOfAllCoversNodesAlone(t *testing.T) {
	all := silences{{Scope: nodestore.ScopeAll, From: noon, Until: noon.Add(time.Hour)}}
	got := choose(audience{def: true}, all, noon, []nodestore.Candidate{candidate(node.Event{Kind: node.Deaf}), candidate(node.Event{NodeID: "n"})})
	if got[0].Held != "" || got[1].Held != nodestore.Silenced {
		t.Errorf("%+v", got)
	}
}

// flapRun plays changes of one node, at minutes, and returns what becomes of each: told, flapping, held.
func flapRun(minutes ...int) string {
	var at []node.Stamp
	out := ""
	var f flap
	for _, m := range minutes {
		now := stamp(noon.Add(time.Duration(m) * time.Minute))
		fourth := node.Stamp(0)
		if len(at) >= 4 {
			fourth = at[len(at)-4]
		}
		at = append(at, now)
		switch c := f.changes(now, fourth); {
		case c.Held == nodestore.Flapping:
			out += "h"
		case c.Mark == nodestore.Flapping:
			out += "F"
		default:
			out += "t"
		}
	}
	return out
}

func TestFlapping(t *testing.T) {
	for want, minutes := range map[string][]int{
		"tttt":        {0, 1, 2, 3},
		"ttttF":       {0, 1, 2, 3, 30},
		"ttttt":       {0, 1, 2, 3, 31},
		"ttttFhhh":    {0, 1, 2, 3, 4, 33, 62, 91},
		"ttttFht":     {0, 1, 2, 3, 4, 5, 35}, // 30 minutes without a change
		"ttttFhtttt":  {0, 1, 2, 3, 4, 5, 40, 41, 42, 43},
		"ttttFhttttF": {0, 1, 2, 3, 4, 5, 40, 41, 42, 43, 44},
	} {
		if got := flapRun(minutes...); got != want {
			t.Errorf("changes at %v: %s, want %s", minutes, got, want)
		}
	}
}

func TestUnflap(t *testing.T) {
	now := stamp(noon)
	held := func(quiet time.Duration, alerts int) nodestore.Held {
		h := nodestore.Held{Alerts: alerts, FlapLast: stamp(noon.Add(-quiet))}
		h.NodeID = "n"
		return h
	}
	for name, tt := range map[string]struct {
		h        nodestore.Held
		silenced bool
		want     nodestore.Release
	}{
		"over":              {held(flapWindow, 3), false, nodestore.Release{Mark: nodestore.Flapped, EndFlap: true, FlapSince: now}},
		"goes on":           {held(flapWindow-1, 3), false, nodestore.Release{Mark: nodestore.Flapping, FlapSince: now}},
		"over and silenced": {held(flapWindow, 3), true, nodestore.Release{Hold: nodestore.Silenced, EndFlap: true, FlapSince: now}},
	} {
		tt.want.NodeID, tt.want.Held = "n", nodestore.Flapping
		if got := unflap(tt.h, tt.silenced, now); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestUnsilence(t *testing.T) {
	for name, tt := range map[string]struct {
		to, known    node.State
		kind         node.Kind
		gone         bool
		mark, untold string
	}{
		"still down":                        {to: node.Down, mark: nodestore.Silenced},
		"down again, as the chat knows":     {to: node.Down, known: node.Down, mark: nodestore.Silenced},
		"back, and the chat never knew":     {to: node.Up, untold: nodestore.Silenced},
		"back, and the chat thinks it down": {to: node.Up, known: node.Lost},
		"down, and deleted since":           {to: node.Down, gone: true, untold: nodestore.Silenced},
		"joined":                            {to: node.Up, kind: node.Joined},
		"joined in failure":                 {to: node.Down, kind: node.Joined, mark: nodestore.Silenced},
	} {
		var h nodestore.Held
		h.NodeID, h.Kind, h.To, h.Known = "n", node.Changed, tt.to, tt.known
		if tt.kind != "" {
			h.Kind = tt.kind
		}
		if !tt.gone {
			h.Incident = 5
		}
		want := nodestore.Release{NodeID: "n", Held: nodestore.Silenced, Mark: tt.mark, Untold: tt.untold}
		if got := unsilence(h); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	n := 0
	a := func(id string, kind node.Kind, to node.State) nodestore.Alert {
		n++
		return nodestore.Alert{ID: fmt.Sprint(n), StoredEvent: nodestore.StoredEvent{
			Event: node.Event{ID: node.EventID{Seq: uint64(n)}, Kind: kind, NodeID: id, To: to, At: node.Stamp(n)}}}
	}
	known := func(a nodestore.Alert) nodestore.Alert {
		a.Known, a.ReplyTo = node.Down, 7
		return a
	}
	entries := outcomes([]nodestore.Alert{
		a("new", node.Joined, node.Up),           // 1
		a("back", node.Changed, node.Down),       // 2
		a("down", node.Changed, node.Down),       // 3
		a("", node.Deaf, ""),                     // 4
		a("back", node.Changed, node.Up),         // 5
		known(a("up", node.Changed, node.Up)),    // 6
		a("new", node.Changed, node.Down),        // 7
		a("", node.Hearing, ""),                  // 8
		a("down", node.Doubled, ""),              // 9
		known(a("again", node.Changed, node.Up)), // 10
		a("again", node.Changed, node.Down),      // 11
	})
	var got []string
	alerts := 0
	for _, e := range entries {
		alerts += e.Alerts
		got = append(got, fmt.Sprintf("%s %s %s %d×from%d id%s back:%v reply%d", e.NodeID, e.Kind, e.To, e.Alerts, e.First, e.ID, e.Back, e.ReplyTo))
	}
	want := []string{
		"new joined down 2×from1 id7 back:false reply0",
		"down changed down 1×from3 id3 back:false reply0",
		"again changed down 2×from10 id11 back:false reply7",
		" hearing  2×from4 id8 back:false reply0",
		"down doubled  1×from9 id9 back:false reply0",
		"up changed up 1×from6 id6 back:false reply7",
		"back changed up 2×from2 id5 back:true reply0",
	}
	if !slices.Equal(got, want) || alerts != n {
		t.Errorf("%d of %d alerts:\n%q\nwant\n%q", alerts, n, got, want)
	}
}

func TestRemindersAreDue(t *testing.T) {
	r := Reminders{time.Hour, 6 * time.Hour, 24 * time.Hour}
	for after, want := range map[time.Duration]struct {
		nth int64
		at  time.Duration
	}{
		0: {}, time.Hour - 1: {}, time.Hour: {1, time.Hour}, 6*time.Hour - 1: {1, time.Hour}, 6 * time.Hour: {2, 6 * time.Hour},
		24 * time.Hour: {3, 24 * time.Hour}, 48*time.Hour - 1: {3, 24 * time.Hour}, 48 * time.Hour: {4, 48 * time.Hour},
		240*time.Hour + 1: {12, 240 * time.Hour},
	} {
		began := stamp(noon)
		nth, at := r.due(began, began+node.Stamp(after))
		if nth != want.nth || nth > 0 && at != began+node.Stamp(want.at) {
			t.Errorf("after %v: the %d. at %v, want %+v", after, nth, time.Duration(at-began), want)
		}
	}
	if nth, _ := (Reminders{}).due(0, 1<<60); nth != 0 {
		t.Error("reminded though it is off")
	}
}

func TestRemind(t *testing.T) {
	r := Reminders{time.Hour, 6 * time.Hour, 24 * time.Hour}
	began := noon.Add(-6*time.Hour - time.Minute) // the second is due for a minute
	for name, tt := range map[string]struct {
		told   time.Time
		nth    int64
		meta   string
		quiet  silences
		want   int64
		reason string
	}{
		"told when it began":           {told: began, want: 2},
		"told, and reminded once":      {told: began, nth: 1, want: 2},
		"reminded already":             {told: began, nth: 2},
		"told after it became due":     {told: noon.Add(-time.Second)},
		"told before it became due":    {told: noon.Add(-2 * time.Minute), want: 2},
		"never told, and it is for us": {want: 2},
		"never told, not for us":       {meta: "dc=home"},
		"told, though not for us now":  {told: began, meta: "dc=home", want: 2},
		"silenced":                     {told: began, quiet: silences{{Scope: nodestore.ScopeAll}}},
	} {
		f := nodestore.Failing{NodeID: "n", Meta: tt.meta, Incident: stamp(began), Nth: tt.nth, Told: tt.told}
		a := audience{chat: "1", def: true, routes: routes(t, "dc=home->2")}
		nth, ok := remind(r, f, a, tt.quiet, noon)
		if ok != (tt.want != 0) || nth != tt.want {
			t.Errorf("%s: %d %v, want %d", name, nth, ok, tt.want)
		}
	}
}

func TestBurdensSlowAChatDown(t *testing.T) {
	b := burdens{busy: 20, gap: 15 * time.Second}
	b.add(burden{noon, 19, 0})
	b.add(burden{noon.Add(time.Second), 1, 1})
	if wait := b.wait(noon.Add(2*time.Second), false); wait > 0 {
		t.Errorf("20 alerts: wait %v", wait)
	}
	b.add(burden{noon.Add(2 * time.Second), 1, 1})
	if wait := b.wait(noon.Add(3*time.Second), false); wait != 14*time.Second {
		t.Errorf("21 alerts: wait %v", wait)
	}
	if wait := b.wait(noon.Add(3*time.Second), true); wait > 0 {
		t.Errorf("2 failures among 21 alerts: a failure waits %v", wait)
	}
	b.add(burden{noon.Add(4 * time.Second), 30, 19})
	b.add(burden{noon.Add(9 * time.Second), 1, 0})
	if wait := b.wait(noon.Add(10*time.Second), true); wait != 9*time.Second {
		t.Errorf("21 failures, the last 6 s ago: a failure waits %v", wait)
	}
	if wait := b.wait(noon.Add(10*time.Second), false); wait != 14*time.Second {
		t.Errorf("the last alert 1 s ago: wait %v", wait)
	}
	if wait := b.wait(noon.Add(64*time.Second), false); wait > 0 {
		t.Errorf("1 alert in the last minute: wait %v", wait)
	}
}
