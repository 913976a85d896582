package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// The measures of a bar, in units of its drawing. Each cell is a time; what a node was in it is stacked, up at the
// bottom.
const (
	cellWidth  = 6
	cellStep   = 8
	barHeight  = 20
	leastShown = 3 // what lasted a moment must be seen, too
)

// bar is a drawing of what a node was over some time, and the same in words.
type bar struct {
	Width int
	Runs  []barPath // cells that are one thing, as dashed lines along the bar
	Parts []barPath // cells that are several things, as lines across it
	Share string    // of the observed time it served; "—" when none was observed
	Label string    // for who cannot see it
	Blind string    // how much of it the monitor could not have heard, "" for none
}

// barPath is all of one kind in a bar.
type barPath struct{ Class, D string }

// barKinds of time in a bar, from the bottom up; the last one stands for time of which nothing is known because there was
// no node.
var barKinds = []struct {
	class string
	of    func(node.Availability) time.Duration
}{
	{"u", func(a node.Availability) time.Duration { return a.Up }},
	{"n", func(a node.Availability) time.Duration { return a.Unobserved }},
	{"g", func(a node.Availability) time.Duration { return a.Degraded }},
	{"l", func(a node.Availability) time.Duration { return a.Lost }},
	{"d", func(a node.Availability) time.Duration { return a.Down }},
	{"a", func(a node.Availability) time.Duration { return a.Absent }},
}

// newBar draws the cells between ascending edges.
func newBar(w *words, cells []node.Availability) bar {
	b := bar{Width: len(cells)*cellStep - (cellStep - cellWidth)}
	runs, parts := make([]strings.Builder, len(barKinds)), make([]strings.Builder, len(barKinds))
	var sum node.Availability
	from, whole := 0, -1 // the run of cells that are one kind
	end := func(to int) {
		if whole >= 0 {
			runs[whole].WriteString("M" + strconv.Itoa(from*cellStep) + " " + strconv.Itoa(barHeight/2) +
				"h" + strconv.Itoa((to-from)*cellStep-(cellStep-cellWidth)))
		}
	}
	for i, c := range cells {
		sum = sum.Plus(c)
		heights := stack(c)
		kind := only(heights)
		if kind != whole || kind < 0 {
			end(i)
			from, whole = i, kind
		}
		if kind >= 0 {
			continue
		}
		y := barHeight
		for k, h := range heights {
			if h > 0 {
				parts[k].WriteString("M" + strconv.Itoa(i*cellStep+cellWidth/2) + " " + strconv.Itoa(y) + "v" + strconv.Itoa(-h))
				y -= h
			}
		}
	}
	end(len(cells))
	for k := range barKinds {
		if runs[k].Len() > 0 {
			b.Runs = append(b.Runs, barPath{barKinds[k].class, runs[k].String()})
		}
		if parts[k].Len() > 0 {
			b.Parts = append(b.Parts, barPath{barKinds[k].class, parts[k].String()})
		}
	}
	b.Share, b.Label, b.Blind = w.share(sum), w.availability(sum), w.blindTime(sum)
	return b
}

// only is the kind that fills a cell alone, or -1.
func only(heights []int) int {
	for k, h := range heights {
		if h == barHeight {
			return k
		}
	}
	return -1
}

// stack turns durations into heights that add up to the bar's. What lasted at all is at least leastShown high, at the
// cost of the highest.
func stack(a node.Availability) []int {
	heights := make([]int, len(barKinds))
	var all time.Duration
	for _, k := range barKinds {
		all += k.of(a)
	}
	if all <= 0 {
		heights[len(barKinds)-1] = barHeight
		return heights
	}
	left := barHeight
	for i, k := range barKinds {
		if d := k.of(a); d > 0 {
			heights[i] = max(int(float64(d)/float64(all)*barHeight), leastShown)
			left -= heights[i]
		}
	}
	for left != 0 { // what is missing or too much is the highest's
		highest := 0
		for i, h := range heights {
			if h > heights[highest] {
				highest = i
			}
		}
		step := 1
		if left < 0 {
			step = -1
		}
		heights[highest] += step
		left -= step
	}
	return heights
}

// edges cut the time before now into n cells of this length; one more than there are cells.
func edges(now time.Time, n int, cell time.Duration) []node.Stamp {
	out := make([]node.Stamp, n+1)
	for i := range out {
		out[i] = node.Stamp(now.Add(-time.Duration(n-i) * cell).UnixNano())
	}
	return out
}
