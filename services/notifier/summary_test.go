package notifier

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

func TestTimeOfDay(t *testing.T) {
	zone := "Europe/Berlin"
	for _, tt := range []struct{ of, now, want string }{
		{"09:00", "2026-03-01 08:59", ""},
		{"09:00", "2026-03-01 09:00", "2026-03-01"},
		{"09:00", "2026-03-01 11:59", "2026-03-01"},
		{"09:00", "2026-03-01 12:00", ""},
		{"23:30", "2026-03-02 02:29", "2026-03-01"},
		{"23:30", "2026-03-02 02:30", ""},
		{"00:00", "2026-03-02 00:00", "2026-03-02"},
		{"02:30", "2026-03-29 03:30", "2026-03-29"}, // there is no 02:30 on this day
		{"02:30", "2026-10-25 02:30", "2026-10-25"}, // there are two of it
		{"zone", "America/Havana", ""},
		{"00:00", "2026-03-07 00:10", "2026-03-07"},
		{"00:00", "2026-03-07 23:10", ""},
		{"00:00", "2026-03-08 01:10", "2026-03-08"}, // this day begins at 01:00
		{"off", "2026-03-01 09:00", ""},
	} {
		if tt.of == "zone" {
			zone = tt.now
			continue
		}
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.ParseInLocation("2006-01-02 15:04", tt.now, loc)
		if err != nil {
			t.Fatal(err)
		}
		var d TimeOfDay
		if err := d.Decode(tt.of); err != nil {
			t.Fatal(err)
		}
		if got := d.day(now.UTC(), loc); got != tt.want {
			t.Errorf("%s at %s: %q, want %q", tt.of, tt.now, got, tt.want)
		}
		if d.String() != tt.of {
			t.Errorf("%q is %q", tt.of, d)
		}
	}
	for _, bad := range []string{"9:00", "24:00", "09:60", "0900", "noon", "09:00:00"} {
		if err := new(TimeOfDay).Decode(bad); err == nil {
			t.Errorf("%q is allowed", bad)
		}
	}
}

// hour is a time of the day that is summed up, from 0 to 24.
func hour(h float64) node.Stamp { return stamp(noon.Add(time.Duration(h * float64(time.Hour)))) }

func TestUptime(t *testing.T) {
	changed := func(h float64, from, to node.State) node.Event {
		return node.Event{Kind: node.Changed, NodeID: "n", At: hour(h), From: from, To: to}
	}
	blind := func(from, to float64) node.Event {
		return node.Event{Kind: node.Blind, Since: hour(from), At: hour(to)}
	}
	deaf := func(from, at float64) node.Event { return node.Event{Kind: node.Deaf, Since: hour(from), At: hour(at)} }
	hearing := func(from, to float64) node.Event {
		return node.Event{Kind: node.Hearing, Since: hour(from), At: hour(to)}
	}
	for name, tt := range map[string]struct {
		state          node.State
		joined         float64
		events         []node.Event // in their order
		observed, down float64      // hours
	}{
		"up all day":                    {state: node.Up, observed: 24},
		"down all day":                  {state: node.Down, observed: 24, down: 24},
		"degraded serves":               {state: node.Degraded, observed: 24},
		"down for a while":              {state: node.Up, events: []node.Event{changed(3, node.Up, node.Down), changed(5, node.Down, node.Up)}, observed: 24, down: 2},
		"down since before":             {state: node.Up, events: []node.Event{changed(5, node.Lost, node.Up)}, observed: 24, down: 5},
		"down by now":                   {state: node.Lost, events: []node.Event{changed(20, node.Up, node.Lost)}, observed: 24, down: 4},
		"down, then lost":               {state: node.Lost, events: []node.Event{changed(20, node.Up, node.Down), changed(22, node.Down, node.Lost)}, observed: 24, down: 4},
		"joined at noon":                {state: node.Down, joined: 12, events: []node.Event{changed(18, node.Up, node.Down)}, observed: 12, down: 6},
		"blind while up":                {state: node.Up, events: []node.Event{blind(3, 5)}, observed: 22},
		"blind while down":              {state: node.Up, events: []node.Event{changed(2, node.Up, node.Down), blind(3, 5), changed(6, node.Down, node.Up)}, observed: 22, down: 2},
		"blind from before":             {state: node.Up, events: []node.Event{blind(-3, 1)}, observed: 23},
		"deaf, and over":                {state: node.Up, events: []node.Event{deaf(3, 4), changed(4, node.Up, node.Lost), hearing(3, 7), changed(7, node.Lost, node.Up)}, observed: 20},
		"deaf by now":                   {state: node.Lost, events: []node.Event{deaf(20, 21), changed(21, node.Up, node.Lost)}, observed: 20},
		"deaf twice":                    {state: node.Up, events: []node.Event{deaf(3, 4), hearing(3, 5), deaf(20, 21)}, observed: 18},
		"spans that overlap count once": {state: node.Up, events: []node.Event{blind(3, 5), blind(4, 6)}, observed: 21},
		"before the day":                {state: node.Up, events: []node.Event{changed(-2, node.Up, node.Down), changed(-1, node.Down, node.Up)}, observed: 24},
	} {
		a := newAlmanac(hour(0), hour(24))
		for i := range tt.events {
			a.event(tt.events[len(tt.events)-1-i])
		}
		a.settle()
		joined := hour(-100)
		if tt.joined != 0 {
			joined = hour(tt.joined)
		}
		observed, down := a.of(&node.Node{ID: "n", State: tt.state, Joined: joined})
		if observed != hour(tt.observed)-hour(0) || down != hour(tt.down)-hour(0) {
			t.Errorf("%s: observed %v, down %v; want %v h, %v h", name, time.Duration(observed), time.Duration(down), tt.observed, tt.down)
		}
	}
}

func TestSummaryNamesTheWorst(t *testing.T) {
	s := totals{Summary: Summary{Counts: make(map[node.State]int)}}
	for i := range 20 {
		s.add(&node.Node{ID: fmt.Sprint(i), State: node.Up}, 100, node.Stamp((i*7)%20))
	}
	got := s.summary()
	if got.Counts[node.Up] != 20 || math.Abs(got.Uptime-(1-190.0/2000)) > 1e-9 || len(got.Worst) != maxWorst {
		t.Fatalf("%+v", got)
	}
	for i, w := range got.Worst {
		if want := 1 - float64(19-i)/100; math.Abs(w.Uptime-want) > 1e-9 {
			t.Errorf("worst %d: %v, want %v", i, w, want)
		}
	}
}
