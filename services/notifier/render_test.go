package notifier

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
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
func messages() map[string]nodestore.Alert {
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
		"unknown_kind":   alertOf(node.Event{Kind: "eclipse", Reason: "moon"}),
		"hostile": alertOf(node.Event{Kind: node.Changed, From: node.Up, To: node.Down, NodeID: "a_b`*[x](y)<script>alert(1)</script>",
			Name: "@everyone </code></b>&amp;", IP: "<!DOCTYPE html>", Reason: "<b>", Evidence: "line 1\nTime: never\u202e\x00 end"}),
	}
	late := m["down"]
	late.Found = late.At.Time().Add(42 * time.Minute)
	m["down_found_late"] = late
	return m
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
				got := r.render(a)
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
		{-time.Second, "less than 1 s", "меньше 1 с"},
		{900 * time.Millisecond, "less than 1 s", "меньше 1 с"},
		{time.Second, "1 s", "1 с"},
		{59 * time.Second, "59 s", "59 с"},
		{time.Minute, "1 min", "1 мин"},
		{185 * time.Second, "3 min 5 s", "3 мин 5 с"},
		{10*time.Minute + 5*time.Second, "10 min", "10 мин"},
		{80 * time.Minute, "1 h 20 min", "1 ч 20 мин"},
		{5 * time.Hour, "5 h", "5 ч"},
		{51 * time.Hour, "2 d 3 h", "2 дн. 3 ч"},
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
		n                       int
		nodesEN, markedRU, ofRU string
	}{
		{1, "1 node", "1 узел", "из 1 узла"},
		{2, "2 nodes", "2 узла", "из 2 узлов"},
		{5, "5 nodes", "5 узлов", "из 5 узлов"},
		{11, "11 nodes", "11 узлов", "из 11 узлов"},
		{12, "12 nodes", "12 узлов", "из 12 узлов"},
		{21, "21 nodes", "21 узел", "из 21 узла"},
		{24, "24 nodes", "24 узла", "из 24 узлов"},
		{111, "111 nodes", "111 узлов", "из 111 узлов"},
		{1001, "1001 nodes", "1001 узел", "из 1001 узла"},
	} {
		if got := english.marked(tt.n); got != tt.nodesEN {
			t.Errorf("%d: %q, want %q", tt.n, got, tt.nodesEN)
		}
		if got := russian.marked(tt.n); got != tt.markedRU {
			t.Errorf("%d: %q, want %q", tt.n, got, tt.markedRU)
		}
		if got := russian.nodes(tt.n); got != tt.ofRU {
			t.Errorf("%d: %q, want %q", tt.n, got, tt.ofRU)
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
		if got := strings.Contains(r.render(a), "Found: "); got != want {
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
			html := r.render(alertOf(e))
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
