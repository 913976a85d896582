package notifier

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, time.March, 1, 9, 0, 0, 0, time.UTC)

func stamp(t time.Time) node.Stamp { return node.Stamp(t.UnixNano()) }

// alertOf is an event at noon, found a second later.
func alertOf(e node.Event) nodestore.Alert {
	if e.At == 0 {
		e.At = stamp(noon)
	}
	return nodestore.Alert{ID: "1:0:1:0", StoredEvent: nodestore.StoredEvent{Event: e, Found: e.At.Time().Add(time.Second)}}
}

func aNode(e node.Event) node.Event {
	e.NodeID, e.Name, e.IP = "rig-7-gensyn", "Rig seven", "203.0.113.7"
	return e
}

// messages are all that people can be told, by the name of its golden file.
func messages() map[string]Telling {
	m := make(map[string]Telling)
	for name, a := range singles() {
		m[name] = gather([]nodestore.Alert{a}, stamp(noon))
	}
	maps.Copy(m, compounds())
	return m
}

// singles are messages that tell one alert.
func singles() map[string]nodestore.Alert {
	ago := func(d time.Duration) node.Stamp { return stamp(noon.Add(-d)) }
	m := map[string]nodestore.Alert{
		"joined":          alertOf(aNode(node.Event{Kind: node.Joined, To: node.Up})),
		"joined_down":     alertOf(aNode(node.Event{Kind: node.Joined, To: node.Down, Reason: "no_screen"})),
		"joined_degraded": alertOf(aNode(node.Event{Kind: node.Joined, To: node.Degraded, Reason: "stale_log"})),
		"joined_deleted": alertOf(aNode(node.Event{Kind: node.Joined, To: node.Up,
			Since: ago(26 * time.Hour), Lasted: 26 * time.Hour})),
		"deleted": alertOf(aNode(node.Event{Kind: node.Deleted, By: "admin"})),
		"down": alertOf(aNode(node.Event{Kind: node.Changed, From: node.Up, To: node.Down,
			Reason: "port_closed_3000", Evidence: "connect 127.0.0.1:3000: connection refused"})),
		"down_unknown_reason": alertOf(node.Event{Kind: node.Changed, NodeID: "rig-8", From: node.Up, To: node.Down,
			Reason: "gpu_fell_off"}),
		"down_after_lost": alertOf(aNode(node.Event{Kind: node.Changed, From: node.Lost, To: node.Down, Reason: "reported"})),
		"degraded": alertOf(aNode(node.Event{Kind: node.Changed, From: node.Up, To: node.Degraded,
			Reason: "stale_log", Evidence: "last line 14 min ago"})),
		"lost": alertOf(aNode(node.Event{Kind: node.Changed, From: node.Up, To: node.Lost, Reason: node.ReasonSilent,
			Since: ago(185 * time.Second), Lasted: 185 * time.Second})),
		"up": alertOf(aNode(node.Event{Kind: node.Changed, From: node.Lost, To: node.Up,
			Since: ago(80 * time.Minute), Lasted: 80 * time.Minute})),
		"blind": alertOf(node.Event{Kind: node.Blind, Since: ago(12 * time.Minute), Lasted: 12 * time.Minute}),
		"deaf": alertOf(node.Event{Kind: node.Deaf, Since: ago(3 * time.Minute), Lasted: 3 * time.Minute, Nodes: 25,
			Refused: map[string]int{"401": 412, "418": 2, "429": 2}}),
		"deaf_no_refusals": alertOf(node.Event{Kind: node.Deaf, Since: ago(90 * time.Second), Lasted: 90 * time.Second, Nodes: 21}),
		"hearing": alertOf(node.Event{Kind: node.Hearing, Since: ago(2 * time.Hour), Lasted: 2 * time.Hour, Nodes: 22,
			Refused: map[string]int{"401": 9000}}),
		"doubled":             alertOf(aNode(node.Event{Kind: node.Doubled, Reason: node.ReasonBootIDs, Evidence: "203.0.113.5, 203.0.113.9"})),
		"doubled_one_address": alertOf(aNode(node.Event{Kind: node.Doubled, Reason: node.ReasonBootIDs, Evidence: "203.0.113.5"})),
		"doubled_maybe": alertOf(aNode(node.Event{Kind: node.Doubled, Reason: node.ReasonAddresses,
			Evidence: "203.0.113.5, 203.0.113.9"})),
		"doubled_clones": alertOf(aNode(node.Event{Kind: node.Doubled, Reason: node.ReasonSeq, Evidence: "203.0.113.5, 203.0.113.9"})),
		"stalled":        alertOf(node.Event{Kind: node.Stalled, Since: ago(30 * time.Second), Lasted: 30 * time.Second}),
		"outdated":       alertOf(node.Event{Kind: node.Outdated, Evidence: "version 2 at message 1207"}),
		"unknown_kind":   alertOf(node.Event{Kind: "eclipse", Reason: "moon"}),
		"hostile": alertOf(node.Event{Kind: node.Changed, From: node.Up, To: node.Down, NodeID: "a_b`*[x](y)<script>alert(1)</script>",
			Name: "@everyone </code></b>&amp;", IP: "<!DOCTYPE html>", Reason: "<b>", Evidence: "line 1\nTime: never\u202e\x00 end"}),
	}
	late := m["down"]
	late.Found = late.At.Time().Add(42 * time.Minute)
	m["down_found_late"] = late
	return m
}

// compounds are messages that tell more than one alert, or none.
func compounds() map[string]Telling {
	ago := func(d time.Duration) node.Stamp { return stamp(noon.Add(-d)) }
	n := 0
	at := func(d time.Duration, e node.Event) nodestore.Alert {
		n++
		e.ID, e.At = node.EventID{Epoch: 1, Seq: uint64(n)}, ago(d)
		a := nodestore.Alert{ID: e.ID.String(), StoredEvent: nodestore.StoredEvent{Event: e, Found: e.At.Time().Add(time.Second)}}
		if e.To != node.Up {
			a.Incident = e.At
		}
		return a
	}
	changed := func(d time.Duration, id string, from, to node.State, reason string) nodestore.Alert {
		e := node.Event{Kind: node.Changed, NodeID: id, From: from, To: to, Reason: reason}
		switch to {
		case node.Up:
			e.Since, e.Lasted, e.Reason = ago(d+3*time.Minute), 3*time.Minute, ""
		case node.Lost:
			e.Since, e.Lasted = ago(d+185*time.Second), 185*time.Second
		}
		return at(d, e)
	}
	of := func(alerts ...nodestore.Alert) Telling { return gather(alerts, stamp(noon)) }
	marked := func(a nodestore.Alert, mark string) nodestore.Alert {
		a.Mark = mark
		return a
	}
	flaps := func(id string, times int, mark string) (out []nodestore.Alert) {
		for i := range times {
			from, to := node.Up, node.Down
			if i%2 == 1 {
				from, to = to, from
			}
			out = append(out, marked(changed(time.Duration(times-i)*4*time.Minute, id, from, to, "no_p2pd"), mark))
		}
		return out
	}
	known := func(a nodestore.Alert, message int64) nodestore.Alert {
		a.Known, a.ReplyTo = node.Down, message
		return a
	}
	many := func(n int, to node.State, reason string) (out []nodestore.Alert) {
		for i := range n {
			out = append(out, changed(0, fmt.Sprintf("rig-%04d", i), node.Up, to, reason))
		}
		return out
	}
	own := of(many(16, node.Lost, node.ReasonSilent)...)
	own.Lost, own.Nodes = 16, 25
	failing := func(n int) *Still {
		s := &Still{Counts: map[node.State]int{node.Down: n}}
		for i := range min(n, listLines) {
			s.Nodes = append(s.Nodes, nodestore.Failing{NodeID: fmt.Sprintf("rig-%d", i), State: node.Down, Reason: "no_screen",
				IP: "203.0.113.7", Incident: ago(6*time.Hour + time.Duration(i)*time.Minute)})
		}
		return s
	}
	big := nodestore.Digest{
		Alerts: 12_345, Entries: 12_000, Oldest: noon, From: ago(40 * time.Minute), To: stamp(noon),
		Counts: []nodestore.DigestCount{
			{Kind: node.Changed, To: node.Down, Entries: 10_500}, {Kind: node.Changed, To: node.Lost, Entries: 1_000},
			{Kind: node.Changed, To: node.Up, Entries: 300}, {Kind: node.Changed, To: node.Up, Back: true, Entries: 150},
			{Kind: node.Joined, To: node.Up, Entries: 48}, {Kind: node.Deaf, Entries: 1},
		},
		Reasons: []nodestore.DigestCount{
			{To: node.Down, Reason: "no_screen", Entries: 9_000}, {To: node.Lost, Reason: node.ReasonSilent, Entries: 1_000},
			{To: node.Down, Reason: "gpu_fell_off", Entries: 500},
		},
		Monitor: []nodestore.Alert{at(0, node.Event{Kind: node.Deaf, Since: ago(3 * time.Minute), Lasted: 3 * time.Minute, Nodes: 25,
			Refused: map[string]int{"401": 412}})},
		First: many(digestNames, node.Down, "no_screen"),
	}
	silenced := marked(changed(2*time.Hour, "rig-7", node.Up, node.Down, "no_screen"), nodestore.Silenced)
	return map[string]Telling{
		"back":             of(changed(5*time.Minute, "rig-7", node.Up, node.Down, "no_screen"), changed(2*time.Minute, "rig-7", node.Down, node.Up, "")),
		"down_again":       of(known(changed(9*time.Minute, "rig-7", node.Down, node.Up, ""), 5), changed(2*time.Minute, "rig-7", node.Up, node.Down, "no_screen")),
		"joined_then_down": of(at(9*time.Minute, node.Event{Kind: node.Joined, NodeID: "rig-7", To: node.Up}), changed(2*time.Minute, "rig-7", node.Up, node.Down, "no_screen")),
		"flapping":         of(flaps("rig-7", 1, nodestore.Flapping)...),
		"flapped":          of(flaps("rig-7", 14, nodestore.Flapped)...),
		"still_flapping":   of(flaps("rig-7", 81, nodestore.Flapping)...),
		"still_silenced":   of(silenced),
		"list": of(slices.Concat([]nodestore.Alert{
			changed(5*time.Minute, "rig-1", node.Up, node.Down, "port_closed_3000"),
			changed(4*time.Minute, "rig-2", node.Up, node.Lost, node.ReasonSilent),
			changed(4*time.Minute, "rig-3", node.Up, node.Degraded, "stale_log"),
			known(changed(3*time.Minute, "rig-4", node.Down, node.Up, ""), 5),
			changed(3*time.Minute, "rig-5", node.Up, node.Down, "no_screen"),
			changed(2*time.Minute, "rig-5", node.Down, node.Up, ""),
			at(2*time.Minute, node.Event{Kind: node.Joined, NodeID: "rig-6", To: node.Up}),
			at(2*time.Minute, node.Event{Kind: node.Joined, NodeID: "rig-7", To: node.Up, Since: ago(time.Hour)}),
			at(2*time.Minute, node.Event{Kind: node.Doubled, NodeID: "rig-8", Reason: node.ReasonBootIDs}),
			at(2*time.Minute, node.Event{Kind: node.Blind, Since: ago(14 * time.Minute), Lasted: 12 * time.Minute}),
			known(changed(70*time.Minute, "rig-9", node.Down, node.Up, ""), 5),
			changed(60*time.Minute, "rig-9", node.Up, node.Down, "no_screen"),
			marked(changed(2*time.Hour, "rig-10", node.Up, node.Down, "no_screen"), nodestore.Silenced),
		}, flaps("rig-11", 1, nodestore.Flapping), flaps("rig-12", 14, nodestore.Flapped))...),
		"list_down":   of(many(3, node.Down, "no_screen")...),
		"own_network": own,
		"monitor": of(at(40*time.Minute, node.Event{Kind: node.Blind, Since: ago(52 * time.Minute), Lasted: 12 * time.Minute}),
			at(0, node.Event{Kind: node.Stalled, Since: ago(30 * time.Second), Lasted: 30 * time.Second})),
		"digest":     {Digest: &big},
		"still_one":  {At: stamp(noon), Still: failing(1)},
		"still_some": {At: stamp(noon), Still: failing(3)},
		"still_many": {At: stamp(noon), Still: failing(12_000)},
		"summary": {Summary: &Summary{From: ago(24 * time.Hour), To: stamp(noon),
			Counts: map[node.State]int{node.Up: 95, node.Down: 3, node.Lost: 2}, Uptime: 0.99234,
			Worst: []NodeUptime{{NodeID: "rig-1", Uptime: 0.5}, {NodeID: "rig-2", Uptime: 0.99999}}}},
		// They fell silent while nobody could hear them: that is no downtime, yet not a good day.
		"summary_unseen": {Summary: &Summary{From: ago(24 * time.Hour), To: stamp(noon),
			Counts: map[node.State]int{node.Up: 1, node.Lost: 3}, Uptime: 1}},
		"summary_all_up": {Summary: &Summary{From: ago(24 * time.Hour), To: stamp(noon), Counts: map[node.State]int{node.Up: 100}, Uptime: 1}},
	}
}

func rendererFor(t *testing.T, l Language) *renderer {
	t.Helper()
	zone := map[Language]string{English: "Europe/Berlin", Russian: "Asia/Yekaterinburg"}[l]
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return &renderer{catalogue: catalogueOf(l), loc: loc, publicURL: "https://nodes.example.org/?a=1&b=2"}
}

func TestEveryMessageInBothLanguages(t *testing.T) {
	for _, l := range []Language{English, Russian} {
		r := rendererFor(t, l)
		for name, a := range messages() {
			t.Run(string(l)+"/"+name, func(t *testing.T) {
				got := worded(t, r, a)
				checkHTML(t, got)
				golden(t, name+"."+string(l)+".golden", got)
			})
		}
	}
}

// checkHTML refuses tags other than our own two, closed at once: nothing from the wire may be one.
func checkHTML(t *testing.T, html string) {
	t.Helper()
	rest := strings.NewReplacer("<code>", "\x01", "</code>", "\x02", "<b>", "\x03", "</b>", "\x04").Replace(html)
	if strings.ContainsAny(rest, "<>") {
		t.Errorf("foreign tag in %q", html)
	}
	var open rune
	for _, r := range rest {
		switch r {
		case 1, 3:
			if open != 0 {
				t.Fatalf("nested tags in %q", html)
			}
			open = r
		case 2, 4:
			if open != r-1 {
				t.Fatalf("unbalanced tags in %q", html)
			}
			open = 0
		}
	}
	if open != 0 {
		t.Fatalf("unclosed tag in %q", html)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("%s differs (write it anew with -update if that is right)\n got:\n%s\nwant:\n%s", name, got, want)
	}
}

func worded(t *testing.T, r *renderer, telling Telling) string {
	t.Helper()
	html, err := r.html(telling)
	if err != nil {
		t.Fatal(err)
	}
	return html
}

// The longest texts the wire allows, in characters of two units each, still fit one message.
func TestTheLongestMessageFits(t *testing.T) {
	long := strings.Repeat("😀", 4000)
	lengthen := func(a *nodestore.Alert) {
		a.Name, a.IP, a.Evidence, a.By = long, long, long, long
		if a.NodeID != "" {
			a.NodeID = long
		}
		if a.Reason != "" {
			a.Reason = long
		}
	}
	for _, l := range []Language{English, Russian} {
		r := rendererFor(t, l)
		r.publicURL = "https://" + strings.Repeat("a", 200)
		for name, m := range messages() {
			for i := range m.Entries {
				lengthen(&m.Entries[i].Alert)
			}
			if m.Digest != nil {
				for i := range m.Digest.First {
					lengthen(&m.Digest.First[i])
				}
				for i := range m.Digest.Reasons {
					m.Digest.Reasons[i].Reason = long
				}
			}
			if m.Still != nil {
				for i := range m.Still.Nodes {
					f := &m.Still.Nodes[i]
					f.NodeID, f.Name, f.IP, f.Reason = long, long, long, long
				}
			}
			html := worded(t, r, m)
			checkHTML(t, html)
			if n := telegram.Units(telegram.PlainText(html)); n > telegram.MaxUnits {
				t.Errorf("%s in %s: %d units", name, l, n)
			}
		}
	}
}

func TestGoldenFilesAreAllUsed(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	all := messages()
	for _, f := range files {
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		if _, ok := all[name]; !ok {
			t.Errorf("%s belongs to no message", f)
		}
	}
	if want := 2 * len(all); len(files) != want {
		t.Errorf("%d golden files, want %d", len(files), want)
	}
}

// Both catalogues must say everything, and know the same codes.
func TestCataloguesAreComplete(t *testing.T) {
	en, ru := reflect.ValueOf(english), reflect.ValueOf(russian)
	for i := range en.NumField() {
		name := en.Type().Field(i).Name
		if en.Field(i).IsZero() || ru.Field(i).IsZero() {
			t.Errorf("%s is missing in a language", name)
		}
		if en.Field(i).Kind() != reflect.Map {
			continue
		}
		for _, k := range en.Field(i).MapKeys() {
			if !ru.Field(i).MapIndex(k).IsValid() {
				t.Errorf("%s[%v] has no Russian", name, k)
			}
		}
		if en.Field(i).Len() != ru.Field(i).Len() {
			t.Errorf("%s: %d in English, %d in Russian", name, en.Field(i).Len(), ru.Field(i).Len())
		}
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		d      time.Duration
		en, ru string
	}{
		{-time.Second, "less than a second", "меньше секунды"},
		{900 * time.Millisecond, "less than a second", "меньше секунды"},
		{time.Second, "1 second", "1 секунду"},
		{59 * time.Second, "59 seconds", "59 секунд"},
		{time.Minute, "1 minute", "1 минуту"},
		{3 * time.Minute, "3 minutes", "3 минуты"},
		{5 * time.Minute, "5 minutes", "5 минут"},
		{185 * time.Second, "3 minutes 5 seconds", "3 минуты 5 секунд"},
		{10*time.Minute + 5*time.Second, "10 minutes", "10 минут"},
		{21 * time.Minute, "21 minutes", "21 минуту"},
		{65 * time.Minute, "1 hour 5 minutes", "1 час 5 минут"},
		{82 * time.Minute, "1 hour 22 minutes", "1 час 22 минуты"},
		{5 * time.Hour, "5 hours", "5 часов"},
		{51 * time.Hour, "2 days 3 hours", "2 дня 3 часа"},
		{11 * 24 * time.Hour, "11 days", "11 дней"},
		{21*24*time.Hour + time.Hour, "21 days 1 hour", "21 день 1 час"},
	} {
		if got := english.duration(tt.d); got != tt.en {
			t.Errorf("%v in English: %q, want %q", tt.d, got, tt.en)
		}
		if got := russian.duration(tt.d); got != tt.ru {
			t.Errorf("%v in Russian: %q, want %q", tt.d, got, tt.ru)
		}
	}
}

func TestPlurals(t *testing.T) {
	for _, tt := range []struct {
		n                               int
		nodesEN, markedRU, ofRU, downRU string
	}{
		{1, "1 node", "1 узел", "из 1 узла", "1 НЕ РАБОТАЕТ"},
		{2, "2 nodes", "2 узла", "из 2 узлов", "2 НЕ РАБОТАЮТ"},
		{5, "5 nodes", "5 узлов", "из 5 узлов", "5 НЕ РАБОТАЮТ"},
		{11, "11 nodes", "11 узлов", "из 11 узлов", "11 НЕ РАБОТАЮТ"},
		{12, "12 nodes", "12 узлов", "из 12 узлов", "12 НЕ РАБОТАЮТ"},
		{21, "21 nodes", "21 узел", "из 21 узла", "21 НЕ РАБОТАЕТ"},
		{24, "24 nodes", "24 узла", "из 24 узлов", "24 НЕ РАБОТАЮТ"},
		{111, "111 nodes", "111 узлов", "из 111 узлов", "111 НЕ РАБОТАЮТ"},
		{1001, "1001 nodes", "1001 узел", "из 1001 узла", "1001 НЕ РАБОТАЕТ"},
		{100_000, "100,000 nodes", "100\u00a0000 узлов", "из 100\u00a0000 узлов", "100\u00a0000 НЕ РАБОТАЮТ"},
		{1_234_562, "1,234,562 nodes", "1\u00a0234\u00a0562 узла", "из 1\u00a0234\u00a0562 узлов", "1\u00a0234\u00a0562 НЕ РАБОТАЮТ"},
	} {
		for got, want := range map[string]string{
			english.marked(tt.n): tt.nodesEN, russian.marked(tt.n): tt.markedRU, russian.nodes(tt.n): tt.ofRU,
			russian.counts[node.Down](tt.n): tt.downRU,
		} {
			if got != want {
				t.Errorf("%d: %q, want %q", tt.n, got, want)
			}
		}
	}
}

func TestMomentShowsItsZone(t *testing.T) {
	for zone, want := range map[string]string{
		"UTC":           "2026-03-01 09:00:00 UTC",
		"Europe/Moscow": "2026-03-01 12:00:00 MSK",
		"Asia/Tashkent": "2026-03-01 14:00:00 UTC+05",
		"Asia/Kolkata":  "2026-03-01 14:30:00 IST",
	} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := english.moment(noon, loc); got != want {
			t.Errorf("%s: %q, want %q", zone, got, want)
		}
	}
}

func TestFoundIsSaidOnlyWhenLate(t *testing.T) {
	r := rendererFor(t, English)
	a := alertOf(node.Event{Kind: node.Changed, NodeID: "a", From: node.Up, To: node.Down})
	for d, want := range map[time.Duration]bool{-time.Hour: false, time.Minute: false, time.Minute + time.Second: true} {
		a.Found = a.At.Time().Add(d)
		if got := strings.Contains(worded(t, r, gather([]nodestore.Alert{a}, stamp(noon))), "Found: "); got != want {
			t.Errorf("found %v after: said %v, want %v", d, got, want)
		}
	}
}

func TestReasonWords(t *testing.T) {
	for code, want := range map[string]string{
		"no_p2pd": "p2pd is not running", "port_closed_3000": "port 3000 is closed", "port_closed_8": "port 8 is closed",
		"port_closed_x": "", "port_closed_99999": "", "whatever": "", "": "",
	} {
		if got := english.reasonWords(code); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

func FuzzRenderNeverBreaksHTML(f *testing.F) {
	f.Add("a_b", "<script>", "203.0.113.7", "no_screen", "x\ny", 3)
	f.Add("&lt;", "</code>", "", "", "\xff\xfe", 0)
	f.Fuzz(func(t *testing.T, id, name, ip, reason, evidence string, pick int) {
		kinds := []node.Kind{node.Joined, node.Changed, node.Deleted, node.Blind, node.Deaf, node.Hearing, node.Stalled, node.Outdated, node.Kind(reason)}
		states := []node.State{node.Up, node.Down, node.Lost, node.Degraded, node.State(name)}
		pick &= 0xffff
		e := node.Event{Kind: kinds[pick%len(kinds)], NodeID: id, Name: name, IP: ip, Reason: reason, Evidence: evidence,
			From: states[pick%len(states)], To: states[pick/8%len(states)], By: name, Refused: map[string]int{reason: pick},
			Nodes: pick, Lasted: time.Duration(pick) * time.Second, Since: node.Stamp(pick)}
		for _, c := range []*catalogue{&english, &russian} {
			r := &renderer{catalogue: c, loc: time.UTC, publicURL: "https://x.example"}
			html := worded(t, r, gather([]nodestore.Alert{alertOf(e)}, stamp(noon)))
			checkHTML(t, html)
			if n := telegram.Units(telegram.PlainText(html)); n > telegram.MaxUnits {
				t.Errorf("%d units", n)
			}
			if !utf8.ValidString(html) {
				t.Errorf("not UTF-8: %q", html)
			}
		}
	})
}
