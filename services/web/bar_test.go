package web

import (
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func TestBars(t *testing.T) {
	const h = time.Hour
	up := node.Availability{Up: h}
	for _, tt := range []struct {
		name                string
		cells               []node.Availability
		runs, parts         string
		share, blind, label string
	}{
		{"always up", []node.Availability{up, up, up}, "u M0 10h22", "", "100%", "", "served 100% of the observed time"},
		{
			"down in between", []node.Availability{up, {Down: h}, up, up}, "u M0 10h6M16 10h14,d M8 10h6", "", "75.0%", "",
			"served 75.0% of the observed time, down 1 h",
		},
		{
			"half of a cell", []node.Availability{{Up: h / 2, Down: h / 2}, up}, "u M8 10h6", "u M3 20v-10,d M3 10v-10", "75.0%", "",
			"served 75.0% of the observed time, down 30 min",
		},
		{
			"a moment is seen", []node.Availability{{Up: h, Lost: time.Second}}, "", "u M3 20v-17,l M3 3v-3", "99.97%", "",
			"served 99.97% of the observed time, lost 1 s",
		},
		{
			"everything at once", []node.Availability{{Up: h, Unobserved: h, Degraded: h, Lost: h, Down: h}}, "",
			"u M3 20v-4,n M3 16v-4,g M3 12v-4,l M3 8v-4,d M3 4v-4", "50.0%", "not observed 1 h",
			"served 50.0% of the observed time, degraded 1 h, down 1 h, lost 1 h, not observed 1 h",
		},
		{"not observed", []node.Availability{{Unobserved: h}}, "n M0 10h6", "", "—", "not observed 1 h", "served — of the observed time, not observed 1 h"},
		{"no node yet", []node.Availability{{Absent: h}, {}, up}, "u M16 10h6,a M0 10h14", "", "100%", "", "served 100% of the observed time"},
		{"all but a nanosecond", []node.Availability{{Up: 1e6 * h, Down: 1}}, "", "u M3 20v-17,d M3 3v-3", "99.99%", "", "served 99.99% of the observed time"},
	} {
		b := newBar(&english, tt.cells)
		if got := paths(b.Runs); got != tt.runs {
			t.Errorf("%s: runs %s, want %s", tt.name, got, tt.runs)
		}
		if got := paths(b.Parts); got != tt.parts {
			t.Errorf("%s: parts %s, want %s", tt.name, got, tt.parts)
		}
		if b.Share != tt.share || b.Blind != tt.blind || b.Label != tt.label || b.Width != 8*len(tt.cells)-2 {
			t.Errorf("%s: %+v", tt.name, b)
		}
	}
}

func paths(all []barPath) string {
	var out []string
	for _, p := range all {
		out = append(out, p.Class+" "+p.D)
	}
	return strings.Join(out, ",")
}

// Every cell is as high as the bar, whatever it holds.
func TestStacksAddUp(t *testing.T) {
	for i := range 100_000 {
		bits := func(shift int) time.Duration { return time.Duration(i >> shift % 8 * (i >> shift % 8) * (i % 97)) }
		a := node.Availability{Up: bits(0), Degraded: bits(3), Down: bits(6), Lost: bits(9), Unobserved: bits(12), Absent: bits(15)}
		sum := 0
		for k, h := range stack(a) {
			sum += h
			if h < 0 || (barKinds[k].of(a) > 0 && h == 0) {
				t.Fatalf("%+v: %v", a, stack(a))
			}
		}
		if sum != barHeight {
			t.Fatalf("%+v: %v is %d high", a, stack(a), sum)
		}
	}
}

func TestEdges(t *testing.T) {
	got := edges(noon, 3, time.Hour)
	if len(got) != 4 || got[0] != ago(3*time.Hour) || got[3] != ago(0) {
		t.Errorf("got %v", got)
	}
}

func TestCharts(t *testing.T) {
	v := func(f float64) *float64 { return &f }
	use := measure{"use", func(s nodestore.Sample) *float64 { return s.CPU }, func(v float64) string { return english.percent(v, 0) }}
	samples := []nodestore.Sample{
		{At: ago(10 * time.Hour), CPU: v(0)},
		{At: ago(9*time.Hour + 50*time.Minute), CPU: v(50)},
		{At: ago(9*time.Hour + 40*time.Minute)}, // it did not say
		{At: ago(9*time.Hour + 26*time.Minute), CPU: v(120)},
		{At: ago(time.Hour), CPU: v(100)}, // after a gap
	}
	c, ok := newChart(&english, "CPU", samples, noon.Add(-10*time.Hour), noon, true, use)
	if !ok || len(c.Lines) != 1 {
		t.Fatalf("got %+v", c)
	}
	l := c.Lines[0]
	if want := "M0 200L0 200L16 100L56 0M900 0L900 0"; l.D != want {
		t.Errorf("path %s, want %s", l.D, want)
	}
	if l.Label != "use: 100%, from 0% to 120%" || c.High != "100%" || c.Low != "0%" || strings.Join(c.Times, " ") != "02:00 04:30 07:00 09:30 12:00" {
		t.Errorf("got %+v", c)
	}
	flat, ok := newChart(&english, "CPU", samples[:1], noon.Add(-7*24*time.Hour), noon, false, use)
	if !ok || flat.High != "1%" || flat.Low != "-1%" || flat.Times[0] != "02-22" {
		t.Errorf("got %+v", flat)
	}
	if _, ok := newChart(&english, "CPU", samples[2:3], noon.Add(-time.Hour), noon, true, use); ok {
		t.Error("a chart of nothing")
	}
}
