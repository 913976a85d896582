package bot

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) node.Stamp { return node.Stamp(noon.Add(-d).UnixNano()) }

// format shows values plainly; the notifier's own is tried with the notifier.
var format = Format{
	Duration: time.Duration.String,
	Moment:   func(t time.Time) string { return t.UTC().Format("15:04") },
	Reason: func(code string) string {
		if code == "silent" {
			return "nothing is heard"
		}
		return ""
	},
	Code: func(value string, most int) string {
		if value == "" {
			return ""
		}
		r := []rune(value)
		return "<code>" + telegram.Escape(string(r[:min(len(r), most)])) + "</code>"
	},
	Covers: func(s nodestore.Silence, id, meta string) bool {
		return s.Scope == nodestore.ScopeAll || s.Value == id || s.Scope == nodestore.ScopeLabel && strings.Contains(meta, s.Value)
	},
}

func answererFor(language string) answerer {
	return answerer{words: catalogue[language], Format: format, page: "https://nodes.example.org/?a=1&b=2"}
}

func lost(id string, ago time.Duration) node.Node {
	return node.Node{ID: id, State: node.Lost, Reason: "silent", Since: before(ago), Incident: before(ago), Heard: before(ago + time.Minute)}
}

func failures(n int) (out []node.Node) {
	for i := range n {
		out = append(out, lost(fmt.Sprintf("rig-%03d", i), time.Hour))
	}
	return out
}

func counted(up, down, gone int) nodestore.Status {
	return nodestore.Status{Counts: map[node.State]int{node.Up: up, node.Degraded: 1, node.Down: down, node.Lost: gone}}
}

type scene struct {
	text  string // of the command
	facts facts
}

// scenes are all that people can be answered, by the name of its golden file.
func scenes() map[string]scene {
	full := node.Node{ID: "rig-7-gensyn", Name: "Rig <seven>", IP: "203.0.113.7", Meta: "dc=home,gpu=h100", State: node.Down,
		Reason: "port_closed_3000", Evidence: "connect: refused", Since: before(time.Minute), Incident: before(3 * time.Hour), Heard: before(time.Second)}
	up := node.Node{ID: "rig-1", State: node.Up, Reason: "old", Since: before(50 * time.Hour), Heard: before(time.Second)}
	ack := map[string]nodestore.Acknowledgement{full.ID: {NodeID: full.ID, Incident: full.Incident, By: "@ann"}}
	home := nodestore.Silence{ID: 3, Scope: nodestore.ScopeLabel, Value: "dc=home", By: "@bob", From: noon.Add(-time.Hour), Until: noon.Add(time.Hour)}
	all := nodestore.Silence{ID: 4, Scope: nodestore.ScopeAll, By: "@ann", From: noon.Add(-time.Hour), Until: noon.Add(2 * time.Hour)}
	stale := counted(3, 1, 1)
	stale.CommittedAge = 2 * time.Minute
	return map[string]scene{
		"help":           {"/help", facts{}},
		"status_quiet":   {"/status", facts{status: counted(12, 0, 0)}},
		"status":         {"/status", facts{status: stale, nodes: []node.Node{full, lost("rig-8", 5*time.Minute)}, acknowledged: ack, silences: []nodestore.Silence{home, all}}},
		"status_many":    {"/status", facts{status: counted(5, 20, 3000), nodes: failures(10)}},
		"down_none":      {"/down", facts{status: counted(12, 0, 0)}},
		"down":           {"/down", facts{status: counted(5, 20, 30), nodes: failures(50)}},
		"node":           {"/node rig-7-gensyn", facts{exact: true, nodes: []node.Node{full}, acknowledged: ack, silences: []nodestore.Silence{all, home}}},
		"node_up":        {"/node rig-1", facts{exact: true, nodes: []node.Node{up}}},
		"node_which":     {"/node", facts{}},
		"node_none":      {"/node <b>", facts{}},
		"node_several":   {"/node rig", facts{nodes: failures(14)}},
		"silence":        {"/silence rig-1 2h", facts{exact: true, nodes: []node.Node{up}}},
		"silence_label":  {"/silence dc=home 1d", facts{nodes: []node.Node{full}}},
		"silence_nobody": {"/silence dc=mars 1d", facts{nodes: []node.Node{full}}},
		"silence_all":    {"/silence ALL 30m", facts{}},
		"silence_how":    {"/silence rig-1", facts{exact: true, nodes: []node.Node{up}}},
		"silence_span":   {"/silence rig-1 soon", facts{exact: true, nodes: []node.Node{up}}},
		"silence_none":   {"/silence rig-9 2h", facts{}},
		"unsilence":      {"/unsilence dc=home", facts{silences: []nodestore.Silence{home, all}}},
		"unsilence_all":  {"/unsilence all", facts{silences: []nodestore.Silence{home, all}}},
		"unsilence_not":  {"/unsilence rig-1", facts{silences: []nodestore.Silence{home}}},
		"unsilence_what": {"/unsilence", facts{silences: []nodestore.Silence{home, all}}},
		"too_late":       {"/silence all 2h", facts{}},
	}
}

func TestEveryAnswerInBothLanguages(t *testing.T) {
	for _, language := range []string{"en", "ru"} {
		for name, s := range scenes() {
			c, ok := parse(said(s.text), "fake_bot")
			if !ok {
				t.Fatalf("%s is no command", s.text)
			}
			if name == "too_late" {
				c.at = noon.Add(-3 * time.Hour)
			}
			p := answererFor(language).decide(c, s.facts, noon)
			if n := telegram.Units(telegram.PlainText(p.html)); n == 0 || n > telegram.MaxUnits || strings.Contains(p.html, "%!") {
				t.Errorf("%s: %d units:\n%s", name, n, p.html)
			}
			golden(t, name+"."+language+".golden", p.html)
		}
	}
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) != 2*len(scenes()) {
		t.Errorf("%d golden files, want %d (%v)", len(files), 2*len(scenes()), err)
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

// Both languages say everything, with the same values in the same order.
func TestCataloguesAreComplete(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z]`)
	en, ru := reflect.ValueOf(english), reflect.ValueOf(russian)
	for i := range en.NumField() {
		name := en.Type().Field(i).Name
		if en.Field(i).IsZero() || ru.Field(i).IsZero() {
			t.Errorf("%s is missing in a language", name)
		}
		if en.Field(i).Kind() == reflect.String && !slices.Equal(verbs.FindAllString(en.Field(i).String(), -1), verbs.FindAllString(ru.Field(i).String(), -1)) {
			t.Errorf("%s: %q and %q", name, en.Field(i), ru.Field(i))
		}
		if en.Field(i).Len() != ru.Field(i).Len() && en.Field(i).Kind() == reflect.Map {
			t.Errorf("%s: one language knows more", name)
		}
	}
}

// However long the names, an answer fits a message, says how many it leaves out, and names the page.
func TestALongListIsCut(t *testing.T) {
	for _, width := range []int{1, 40, 128, 400} {
		nodes := failures(50)
		for i := range nodes {
			nodes[i].ID = strings.Repeat("ж", width) + fmt.Sprint(i)
			nodes[i].Name = strings.Repeat("<", width)
		}
		c, _ := parse(said("/down"), "fake_bot")
		html := answererFor("en").decide(c, facts{status: counted(0, 0, 7000), nodes: nodes}, noon).html
		plain := telegram.PlainText(html)
		if n := telegram.Units(plain); n > telegram.MaxUnits {
			t.Errorf("%d units", n)
		}
		shown := strings.Count(plain, "LOST")
		if want := fmt.Sprintf("… and %d more\nPage: https://nodes.example.org", 7000-shown); shown == 0 || !strings.Contains(plain, want) {
			t.Errorf("width %d: %d shown, ends\n%s", width, shown, plain[len(plain)-100:])
		}
	}
}

func TestWhatSilenceDoes(t *testing.T) {
	for name, tt := range map[string]struct {
		scene        string
		scope, value string
		span         time.Duration
	}{
		"a node":   {"silence", nodestore.ScopeNode, "rig-1", 2 * time.Hour},
		"a label":  {"silence_label", nodestore.ScopeLabel, "dc=home", 24 * time.Hour},
		"all":      {"silence_all", nodestore.ScopeAll, "", 30 * time.Minute},
		"no node":  {"silence_none", "", "", 0},
		"no span":  {"silence_span", "", "", 0},
		"too late": {"too_late", "", "", 0},
	} {
		s := scenes()[tt.scene]
		c, _ := parse(said(s.text), "fake_bot")
		if tt.scene == "too_late" {
			c.at = noon.Add(-tooLate - time.Second)
		}
		got := answererFor("en").decide(c, s.facts, noon).silence
		if (got == nil) != (tt.span == 0) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if got != nil && (got.Scope != tt.scope || got.Value != tt.value || !got.From.Equal(noon) || got.Until.Sub(noon) != tt.span || got.By != "@bob" || got.Note == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// An id may look like a label, or like "all": nodes with such an id are not meant by accident.
	odd := node.Node{ID: "a=b", State: node.Up}
	if scope, _, _ := scope("a=b", facts{exact: true, nodes: []node.Node{odd}}); scope != nodestore.ScopeNode {
		t.Errorf("a node named like a label: %s", scope)
	}
	for _, target := range []string{"=b", "a=", "a=b c=d", "a=b,c=d"} {
		if _, _, ok := scope(target, facts{}); ok {
			t.Errorf("%q is a label", target)
		}
	}
}

func TestWhatUnsilenceEnds(t *testing.T) {
	for name, want := range map[string][]int64{"unsilence": {3}, "unsilence_all": {4}, "unsilence_not": nil, "unsilence_what": nil} {
		s := scenes()[name]
		c, _ := parse(said(s.text), "fake_bot")
		if got := answererFor("en").decide(c, s.facts, noon).end; !slices.Equal(got, want) {
			t.Errorf("%s ends %v, want %v", name, got, want)
		}
	}
}

func TestWhatButtonsDo(t *testing.T) {
	n := lost("rig-8", time.Hour)
	told := nodestore.Notification{ID: 12, NodeID: n.ID, Incident: n.Incident}
	now := facts{nodes: []node.Node{n}, exact: true, notification: told}
	a := answererFor("en")
	press := func(data string, f facts) plan {
		c, _ := parse(pressed(data), "fake_bot")
		return a.decide(c, f, noon)
	}
	p := press("a:12", now)
	if p.acknowledge == nil || p.acknowledge.NodeID != n.ID || p.acknowledge.Incident != n.Incident || p.acknowledge.By != "Ann Lee" || !p.buttons {
		t.Errorf("acknowledge: %+v", p)
	}
	mine := now
	mine.acknowledged = map[string]nodestore.Acknowledgement{n.ID: {NodeID: n.ID, Incident: n.Incident, By: "@bob"}}
	if p := press("a:12", mine); p.acknowledge != nil || p.toast != "Already acknowledged by @bob" || !p.buttons {
		t.Errorf("acknowledged by another: %+v", p)
	}
	if b := a.buttons(mine, noon)[0]; b[0].Text != "✓ Acknowledged by @bob" || b[1].Text != "Silence 1 h" || b[0].Data != "a:12" {
		t.Errorf("buttons: %+v", b)
	}
	later := now
	later.nodes = []node.Node{lost("rig-8", time.Minute)}
	gone := facts{notification: told}
	for name, f := range map[string]facts{"another incident": later, "a node that is gone": gone, "no notification": {}} {
		if p := press("a:12", f); p.acknowledge != nil || p.toast != "This incident is over" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	p = press("s:12", now)
	if p.silence == nil || p.silence.Scope != nodestore.ScopeNode || p.silence.Value != n.ID || p.silence.Until.Sub(noon) != time.Hour || p.toast != "Silenced until 13:00" {
		t.Errorf("silence: %+v", p)
	}
	quiet := now
	quiet.silences = []nodestore.Silence{*p.silence}
	if p := press("s:12", quiet); p.silence != nil || p.toast != "Already silenced until 13:00" {
		t.Errorf("silenced already: %+v", p)
	}
	if b := a.buttons(quiet, noon)[0]; b[1].Text != "🔇 Until 13:00, Ann Lee" || b[0].Text != "Acknowledge" {
		t.Errorf("buttons: %+v", b)
	}
	for _, over := range []nodestore.Silence{{}, {Ended: noon}} {
		s := *p.silence
		s.Ended = over.Ended
		if over.Ended.IsZero() {
			s.Until = noon
		}
		if a.covering([]nodestore.Silence{s}, n, noon) != nil {
			t.Errorf("over, yet it covers: %+v", s)
		}
	}
}
