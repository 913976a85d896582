package web

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// The measures of a chart's drawing; it is stretched to the place there is.
const (
	chartWidth  = 1000
	chartHeight = 200
)

// chartGap is the time between two samples from which on a line is broken: nothing is made up in between.
const chartGap = 5 * nodestore.SampleEvery / 2

// chart is what the agent sent, over some time.
type chart struct {
	Title     string
	Lines     []chartLine
	High, Low string // what the upper and the lower edge stand for
	Times     []string
}

// chartLine is one line of a chart.
type chartLine struct {
	Class, Name, D    string
	Last, Least, Most string
	Label             string // for who cannot see it
}

// measure is one thing that samples hold.
type measure struct {
	name  string
	of    func(nodestore.Sample) *float64
	write func(v float64) string
}

// newChart draws measures that share an axis. It is false when the agent sent none of them.
func newChart(w *words, title string, samples []nodestore.Sample, from, to time.Time, fixed bool, measures ...measure) (chart, bool) {
	c := chart{Title: title}
	low, high := math.Inf(1), math.Inf(-1)
	for _, m := range measures {
		for _, s := range samples {
			if v := m.of(s); v != nil {
				low, high = min(low, *v), max(high, *v)
			}
		}
	}
	if low > high {
		return c, false
	}
	if fixed {
		low, high = 0, 100
	} else if low == high {
		low, high = low-1, high+1
	}
	for i, m := range measures {
		if line, ok := newLine(w, m, samples, from, to, low, high); ok {
			line.Class = "s" + strconv.Itoa(i+1)
			c.Lines = append(c.Lines, line)
		}
	}
	c.High, c.Low = measures[0].write(high), measures[0].write(low)
	const marks = 4
	for i := range marks + 1 {
		t := from.Add(to.Sub(from) * time.Duration(i) / marks).UTC()
		if to.Sub(from) > 25*time.Hour {
			c.Times = append(c.Times, t.Format("01-02"))
		} else {
			c.Times = append(c.Times, t.Format("15:04"))
		}
	}
	return c, true
}

func newLine(w *words, m measure, samples []nodestore.Sample, from, to time.Time, low, high float64) (chartLine, bool) {
	l := chartLine{Name: m.name}
	var d strings.Builder
	least, most, last := math.Inf(1), math.Inf(-1), math.NaN()
	var before time.Time
	for _, s := range samples {
		v, at := m.of(s), s.At.Time()
		if v == nil {
			continue
		}
		x := int(chartWidth * at.Sub(from) / to.Sub(from))
		y := int(chartHeight * (high - min(max(*v, low), high)) / (high - low))
		verb := "L"
		if at.Sub(before) > chartGap {
			verb = "M" + strconv.Itoa(x) + " " + strconv.Itoa(y) + "L" // a point without neighbours is seen, too
		}
		d.WriteString(verb + strconv.Itoa(x) + " " + strconv.Itoa(y))
		before, last, least, most = at, *v, min(least, *v), max(most, *v)
	}
	if before.IsZero() {
		return l, false
	}
	l.D, l.Last, l.Least, l.Most = d.String(), m.write(last), m.write(least), m.write(most)
	l.Label = w.chartLabel(m.name, l.Last, l.Least, l.Most)
	return l, true
}

// charts of everything that a node's agent sends.
func charts(w *words, samples []nodestore.Sample, from, to time.Time) (out []chart) {
	percent := func(v float64) string { return w.percent(v, 0) }
	degrees := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) + " °C" }
	number := func(v float64) string { return w.number(int64(v)) }
	round := func(s nodestore.Sample) *float64 {
		if s.Round == nil {
			return nil
		}
		v := float64(*s.Round)
		return &v
	}
	for _, c := range []struct {
		title    string
		fixed    bool
		measures []measure
	}{
		{w.Round, false, []measure{{w.Node.Last, round, number}}},
		{w.GPU, true, []measure{
			{w.Node.Use, func(s nodestore.Sample) *float64 { return s.GPUUse }, percent},
			{w.Node.Memory, func(s nodestore.Sample) *float64 { return s.GPUMemory }, percent},
		}},
		{w.Node.GPUTemperature, false, []measure{{w.Node.Hottest, func(s nodestore.Sample) *float64 { return s.GPUTemp }, degrees}}},
		{w.Node.Machine, true, []measure{
			{w.Node.Processor, func(s nodestore.Sample) *float64 { return s.CPU }, percent},
			{w.Node.Memory, func(s nodestore.Sample) *float64 { return s.Memory }, percent},
		}},
		{w.Node.Disk, true, []measure{{w.Node.InUse, func(s nodestore.Sample) *float64 { return s.Disk }, percent}}},
	} {
		if drawn, ok := newChart(w, c.title, samples, from, to, c.fixed, c.measures...); ok {
			out = append(out, drawn)
		}
	}
	return out
}
