// Package bench measures the real programs as processes: what a heartbeat costs, how long people wait, how much memory
// it takes. Every figure is taken several times; the page shows the median and the span.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/usage"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// Options say how much is measured.
type Options struct {
	Runs  int           // of each part
	Span  time.Duration // of each load that has no length of its own
	Long  time.Duration // of the load of a million nodes
	Nodes int           // in the parts about very many nodes: a million, fewer for a try
	Bin   string        // where the programs were built
	Dir   string        // for data, on the disk that is measured
	Log   io.Writer     // progress
}

// Figure is one number, measured once a run.
type Figure struct {
	Part, Name, Unit string
	Values           []float64
	Goal             float64 // 0 for none
	AtLeast          bool    // else at most
	Note             string
}

// Median of the values; the upper one of two in the middle.
func (f Figure) Median() float64 { return slices.Sorted(slices.Values(f.Values))[len(f.Values)/2] }

// Met reports whether the median reaches the goal.
func (f Figure) Met() bool {
	if f.AtLeast {
		return f.Median() >= f.Goal
	}
	return f.Median() <= f.Goal
}

// part is a group of measurements that share a start of the programs.
type part struct {
	name, about string
	run         func(ctx context.Context, b *bench) error
}

var parts = []part{
	{"ingest", "heartbeats as fast as they are acknowledged, beside handlers that do less", measureIngest},
	{"pipeline", "the whole way into Postgres: saturated, at 5,000 and at 500 heartbeats a second", measurePipeline},
	{"told", "until people are told: of one node, and of nearly all at once", measureTold},
	{"silence", "until people are told of nodes that fall silent, a hundredth of a hundred thousand within a minute", measureSilence},
	{"web", "the page and its API, with ten thousand nodes", measureWeb},
	{"standalone", "everything in one process", measureStandalone},
	{"agent", "the agent, beside a thousand processes", measureAgent},
	{"million", "a million nodes that report once a minute", measureMillion},
	{"growth", "how cost grows with the number of nodes", measureGrowth},
}

// Parts are the names of what can be measured.
func Parts() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// Run measures the named parts, all for none. A part that could not be measured in every run is left out, and why is
// returned with the figures of the others.
func Run(ctx context.Context, o Options, names ...string) ([]Figure, error) {
	b := &bench{Options: o}
	var errs []error
	for _, p := range parts {
		if len(names) > 0 && !slices.Contains(names, p.name) || ctx.Err() != nil {
			continue
		}
		for b.round = range o.Runs {
			b.part = p.name
			b.say("%s, run %d of %d: %s", p.name, b.round+1, o.Runs, p.about)
			if err := b.beside(func() error {
				if err := b.gauge(ctx); err != nil {
					return err
				}
				return p.run(ctx, b)
			}); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
				b.say("%s is left out: %v", p.name, err)
				b.figures = slices.DeleteFunc(b.figures, func(f Figure) bool { return f.Part == p.name })
				break
			}
		}
	}
	return b.figures, errors.Join(append(errs, ctx.Err())...)
}

// beside notes how much the host of a virtual machine took from it while f ran: such hours make everything dearer, by
// half and more, and nothing else in the figures says so.
func (b *bench) beside(f func() error) error {
	worked, stolen, err := usage.Machine()
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	worked2, stolen2, err := usage.Machine()
	if err != nil {
		return err
	}
	worked, stolen = worked2-worked, stolen2-stolen
	b.atMost("processor time that the host gave to others, of what was wanted", "%", 100*stolen.Seconds()/max((worked+stolen).Seconds(), 0.01), 0)
	return nil
}

// bench collects figures.
type bench struct {
	Options
	part    string
	round   int
	bare    float64 // µs of the bare handler, see gauge
	figures []Figure
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.Log, "%s %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// atMost notes a figure that is to be at most the goal; 0 is no goal.
func (b *bench) atMost(name, unit string, value, goal float64) {
	b.note(Figure{Name: name, Unit: unit, Goal: goal}, value)
}

func (b *bench) atLeast(name, unit string, value, goal float64) {
	b.note(Figure{Name: name, Unit: unit, Goal: goal, AtLeast: true}, value)
}

func (b *bench) note(f Figure, value float64) {
	b.say("  %s: %s %s", f.Name, number(value), f.Unit)
	f.Part = b.part
	for i := range b.figures {
		if b.figures[i].Part == f.Part && b.figures[i].Name == f.Name {
			b.figures[i].Values = append(b.figures[i].Values, value)
			return
		}
	}
	f.Values = []float64{value}
	b.figures = append(b.figures, f)
}

// secret is what the load proves itself with.
const secret = "bench-secret"

// start runs a monitor of its own for one measurement; stop removes it.
func (b *bench) start(ctx context.Context, only []string, env ...string) (c *cluster.Cluster, stop func() error, err error) {
	dir, err := os.MkdirTemp(b.Dir, "gensyn-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("folder for data: %w", err)
	}
	c, err = cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: b.Bin, Secret: secret, Only: only,
		Env:      append([]string{"LOG_LEVEL=warn", "MAX_NODES=10000000", "TZ=UTC"}, env...),
		Postgres: []string{"shared_buffers=2GB", "max_wal_size=4GB", "synchronous_commit=on"},
	})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, func() error { return errors.Join(c.Stop(), os.RemoveAll(dir)) }, nil
}

// Programs builds what is measured.
func Programs(ctx context.Context, dir string) error {
	return cluster.Build(ctx, dir, append([]string{standalone}, cluster.Programs...)...)
}

// address is host:port of a URL.
func address(url string) string { return strings.TrimPrefix(url, "http://") }

// self is this program, which also plays the handlers that do less.
func self(dir, name string, args ...string) (*cluster.Process, string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find this program: %w", err)
	}
	if _, err := exec.LookPath(path); err != nil {
		return nil, "", fmt.Errorf("find this program: %w", err)
	}
	addr, err := freeport.Address()
	if err != nil {
		return nil, "", err
	}
	return &cluster.Process{
		Name: name, Path: path, Args: append([]string{"serve", name, addr}, args...),
		Ready: "http://" + addr + "/healthz", Log: filepath.Join(dir, name+".log"),
	}, addr, nil
}
