package node

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// The texts of a record come back, whatever their length, and one that is set changes no other.
func FuzzTexts(f *testing.F) {
	f.Add("node-1", "boot", "192.0.2.1", "rack 7", 3)
	f.Add("", "", "", "", 0)
	f.Add(strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 16384), "\x00\xff", 200)
	f.Add(strings.Repeat("x", slabSize), "", strings.Repeat("z", 2*slabSize), "", 1)
	f.Fuzz(func(t *testing.T, a, b, c, d string, size int) {
		all := allTexts{a, b, c, d, d + a, strings.Repeat(b, min(max(size, 0), 300)), c + c, a}
		table := newTable()
		other := table.add(&Node{ID: "other", Meta: d})
		n := joint(&record{}, all)
		r := table.add(&n)
		check := func() {
			t.Helper()
			for i := range all {
				if table.text(r, i) != all[i] || !table.is(r, i, all[i]) {
					t.Fatalf("text %d is %q, want %q", i, table.text(r, i), all[i])
				}
			}
			if got := table.texts.all(r.texts); got != all || table.text(other, textMeta) != d {
				t.Fatalf("the texts are %q, want %q", got, all)
			}
		}
		check()
		for i := range all {
			if table.set(r, i, all[i]) {
				t.Fatalf("setting text %d to what it is changed it", i)
			}
			if i == textID {
				continue
			}
			all[i] += "."
			if !table.set(r, i, all[i]) {
				t.Fatalf("setting text %d changed nothing", i)
			}
			check()
		}
	})
}

// The table holds what a map would, while it grows, its room is used again, and texts change and are moved together.
func TestTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table, want := newTable(), map[string]string{}
	for step := range 120_000 {
		id := fmt.Sprint("node-", rng.IntN(6000))
		r := table.find(id)
		if meta, ok := want[id]; ok != (r != nil) || ok && table.text(r, textMeta) != meta {
			t.Fatalf("step %d: %s is %v, want %q, %v", step, id, r, meta, ok)
		}
		text := strings.Repeat(fmt.Sprint(step), rng.IntN(30))
		switch {
		case r == nil:
			r = table.add(&Node{ID: id, Meta: text, Seq: int64(step)})
			want[id] = text
		case rng.IntN(9) == 0 || step%20_000 > 15_000: // at times many go
			table.remove(r)
			delete(want, id)
			continue
		default:
			table.set(r, textMeta, text)
			want[id] = text
		}
		if table.at(r.self) != r {
			t.Fatalf("step %d: record %d is not where it says", step, r.self)
		}
	}
	seen := 0
	for r := range table.all() {
		if meta, ok := want[table.text(r, textID)]; !ok || table.text(r, textMeta) != meta {
			t.Errorf("%+v is in the table, want %q, %v", table.node(r), meta, ok)
		}
		seen++
	}
	if seen != len(want) || table.size != len(want) || len(table.pieces)*pieceSize > 6000+pieceSize {
		t.Errorf("%d of %d seen, size %d, %d pieces", seen, len(want), table.size, len(table.pieces))
	}
	checkHeld(t, &table)
}

// Texts that change all the time take no room for ever, though others that stay are written between them.
func TestOldTextsGiveTheirRoomBack(t *testing.T) {
	table := newTable()
	restless := table.add(&Node{ID: "restless"})
	for i := range 300_000 {
		table.set(restless, textEvidence, fmt.Sprint("line ", i))
		if i%500 == 0 {
			table.add(&Node{ID: fmt.Sprint("quiet-", i)})
		}
	}
	checkHeld(t, &table)
}

// checkHeld checks that texts take no more than twice their room, and two slabs.
func checkHeld(t *testing.T, table *table) {
	t.Helper()
	held, needed := 0, 0
	for r := range table.all() {
		needed += numberSize + length(table.texts.entry(r.texts))
	}
	for _, s := range table.texts.slabs {
		held += cap(s.data)
	}
	if held > 2*needed+2*slabSize || held < needed {
		t.Errorf("%d bytes are held for texts of %d", held, needed)
	}
}

// Agents that are not remembered are told from those that are, and the others from each other.
func TestAgentsHaveNumbers(t *testing.T) {
	a := newAgents()
	first := a.number(agent{"1", "linux", "amd64"}, noAgent)
	second := a.number(agent{"2", "linux", "amd64"}, first)
	if first == noAgent || second == noAgent || first == second || a.number(agent{"1", "linux", "amd64"}, second) != first {
		t.Errorf("numbers %d and %d", first, second)
	}
	for i := range 1 << 16 {
		a.number(agent{fmt.Sprint("v", i), "", ""}, noAgent)
	}
	if n := a.number(agent{"new", "", ""}, second); n != noAgent || len(a.list) != 1<<16 {
		t.Errorf("the last is %d of %d, want that it is not remembered", n, len(a.list))
	}
	if a.number(agent{"2", "linux", "amd64"}, noAgent) != second {
		t.Error("one of the first is forgotten")
	}
}

// What a node costs in memory: a million are to fit beside what a commit needs (see bench, part million).
func TestANodeTakesLittleMemory(t *testing.T) {
	const nodes, rounds, most = 50_000, 3, 230
	if size := unsafe.Sizeof(record{}); size > 104 {
		t.Errorf("a record takes %d bytes", size)
	}
	used := func() uint64 {
		runtime.GC()
		runtime.GC() // also what finalizers kept
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	f := New(0, Snapshot{Clock: Clock{Settings: Settings{Threshold: time.Minute, MaxNodes: nodes}}})
	for round := range rounds {
		for batch := range slices.Chunk(heartbeatsOf(nodes, round), 500) {
			f.Apply(Message{Seq: f.Position().Seq + 1, Stamp: f.Position().Stamp + 1e6, Heartbeats: batch})
		}
		if c := f.Take(); len(c.Nodes)+len(c.Heard) != nodes {
			t.Fatalf("%d whole and %d heard of %d", len(c.Nodes), len(c.Heard), nodes)
		}
	}
	each := float64(used()-before) / nodes
	t.Logf("%.0f bytes a node", each)
	if each > most || f.Len() != nodes {
		t.Errorf("%.0f bytes a node, want at most %d", each, most)
	}
	runtime.KeepAlive(f)
}

func heartbeatsOf(nodes, round int) (out []Heartbeat) {
	for i := range nodes {
		out = append(out, Heartbeat{
			NodeID: fmt.Sprintf("node-%07d", i), IP: fmt.Sprintf("10.1.%d.%d", i>>8, i&255), Meta: fmt.Sprint("dc=test,rack=", i%97),
			BootID: fmt.Sprintf("boot-%07d", i), Seq: int64(round), Interval: time.Minute, AgentVersion: "1.0.0", OS: "linux", Arch: "amd64",
			Metrics: fmt.Sprintf(`{"cpu_percent":%d,"load1":1.25,"uptime_sec":%d}`, i%100, i), Workload: fmt.Sprintf(`{"round":%d}`, round),
		})
	}
	return out
}

// A heartbeat that says nothing new is stored as such: that costs less than a whole node, and nearly all are so.
func TestAPlainHeartbeatIsStoredAsOne(t *testing.T) {
	news := map[string]func(*Heartbeat){
		"nothing":    nil,
		"metrics":    func(h *Heartbeat) { h.Metrics, h.Workload = "{}", "{}" },
		"address":    func(h *Heartbeat) { h.IP = "10.9.9.9" },
		"meta":       func(h *Heartbeat) { h.Meta = "new" },
		"interval":   func(h *Heartbeat) { h.Interval++ },
		"boot":       func(h *Heartbeat) { h.BootID = "new" },
		"version":    func(h *Heartbeat) { h.AgentVersion = "new" },
		"system":     func(h *Heartbeat) { h.OS = "new" },
		"machine":    func(h *Heartbeat) { h.Arch = "new" },
		"status":     func(h *Heartbeat) { h.Status = "DOWN" },
		"no address": func(h *Heartbeat) { h.IP = "" },
	}
	plain := map[string]bool{"nothing": true, "metrics": true, "no address": true}
	for name, change := range news {
		f, h := New(0, Snapshot{Clock: Clock{Settings: Settings{Threshold: time.Minute, MaxNodes: 9}}}), heartbeatsOf(1, 0)[0]
		send := func() Changes {
			h.Seq++
			f.Apply(Message{Seq: f.Position().Seq + 1, Stamp: f.Position().Stamp + 1e9, Heartbeats: []Heartbeat{h}})
			return f.Take()
		}
		if c := send(); len(c.Nodes) != 1 || c.Len() != 1 {
			t.Errorf("%s: joined with %+v", name, c)
		}
		send()
		if change != nil {
			change(&h)
		}
		if c := send(); (len(c.Heard) == 1) != plain[name] || len(c.Heard)+len(c.Nodes) != 1 || c.Len() != 1 {
			t.Errorf("%s: stored with %+v", name, c)
		}
		silence := func() {
			for i := range 400 {
				f.Apply(Message{Seq: f.Position().Seq + 1, Stamp: f.Position().Stamp + 1e9 + Stamp(i)})
			}
		}
		command := func(c Command) {
			c.NodeID = h.NodeID
			f.Apply(Message{Seq: f.Position().Seq + 1, Stamp: f.Position().Stamp + 1e9, Command: &c})
		}
		silence()
		if c := f.Take(); len(c.Judged) != 1 || c.Len() != 1 || c.Judged[0].State != Lost {
			t.Errorf("%s: lost with %+v", name, c)
		} else if j, n := c.Judged[0], f.nodes.node(f.nodes.find(h.NodeID)); j != (Judged{n.ID, n.State, n.Reason, n.Evidence, n.Told, n.Since, n.Incident}) ||
			j.Reason == "" || j.Told == "" || j.Since == 0 || j.Incident == 0 {
			t.Errorf("%s: lost with %+v of %+v", name, j, n)
		}
		command(Command{Name: new("renamed")})
		if c := f.Take(); len(c.Altered) != 1 || c.Len() != 1 || c.Altered[0].Name != "renamed" {
			t.Errorf("%s: renamed with %+v", name, c)
		}
		send()
		silence()
		command(Command{Threshold: new(time.Hour)})
		if c := f.Take(); len(c.Altered) != 1 || c.Len() != 1 || c.Altered[0].State != Lost || c.Altered[0].Threshold != time.Hour {
			t.Errorf("%s: lost and altered with %+v", name, c)
		}
		if c := send(); len(c.Nodes) != 1 || c.Len() != 1 || c.Nodes[0].State == Lost {
			t.Errorf("%s: back with %+v", name, c)
		}
	}
}
