package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Page is docs/benchmarks.md.
type Page struct {
	Command, Commit, Machine string
	Started                  time.Time
	Runs                     int
	Figures                  []Figure
}

const head = `# What it costs

This page is written by runs of the real programs, never by hand: %s. Everything, the load as well, ran on one machine.
Processor time is what all threads of the server processes used, user and system, from /proc. Each figure is the median of
the runs, with the least and the most. Machines differ, and hours do: a bare handler, which only reads a heartbeat and answers,
on all cores as Go does by itself, cost twice as much on some as on others. Where a part names it, compare with that.

Эту страницу пишут прогоны настоящих программ, не человек. Всё, и нагрузка тоже, работало на одной машине. Процессорное
время: пользовательское и системное всех серверных процессов. Каждое число: медиана, рядом наименьшее и наибольшее.
Машины и часы бывают разные: голый обработчик (только читает сообщение и отвечает, на всех ядрах) на одних стоил вдвое
дороже, чем на других. Где он назван, сравнивайте с ним.
`

// Write writes the page. Parts that were not measured stay as they are in the old one.
func (p Page) Write(w io.Writer, old string) error {
	out := &writer{w: w}
	out.printf(head, "`make bench`")
	for _, part := range parts {
		var own []Figure
		for _, f := range p.Figures {
			if f.Part == part.name {
				own = append(own, f)
			}
		}
		title := "\n## " + part.name + ": "
		if len(own) == 0 {
			if _, rest, found := strings.Cut(old, title); found {
				section, _, _ := strings.Cut(rest, "\n## ")
				out.printf("%s%s\n", title, strings.TrimRight(section, "\n"))
			}
			continue
		}
		runs := "one run"
		if p.Runs > 1 {
			runs = strconv.Itoa(p.Runs) + " runs"
		}
		out.printf("%s%s\n\n%s of `%s`, commit %s, %s, %s.\n\n| | median | least – most | goal | |\n|---|---:|---:|---:|---|\n", title, part.about,
			runs, p.Command, p.Commit, p.Started.UTC().Format("2006-01-02 15:04 MST"), p.Machine)
		for _, f := range own {
			out.printf("| %s | %s %s | %s – %s | %s |\n", f.Name, number(f.Median()), f.Unit,
				number(slices.Min(f.Values)), number(slices.Max(f.Values)), f.goal())
		}
	}
	return out.err
}

// goal is what was wanted, and whether it was reached.
func (f Figure) goal() string {
	if f.Goal == 0 {
		return "|"
	}
	sign, verdict := "≤", "**missed**"
	if f.AtLeast {
		sign = "≥"
	}
	if f.Met() {
		verdict = "met"
	}
	return fmt.Sprintf("%s %s | %s", sign, number(f.Goal), verdict)
}

// number has three digits that count, or all before the point.
func number(v float64) string {
	switch {
	case v >= 1000:
		return grouped(int64(v + 0.5))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// writer remembers the first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format, args...)
	}
}
