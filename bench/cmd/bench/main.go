// Command bench measures the real programs and writes docs/benchmarks.md.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/provenance"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" { // a part of a measurement, started by it
		if len(args) != 4 {
			return fmt.Errorf("serve KIND ADDR NATS_URL, not %q", args)
		}
		return bench.Serve(ctx, args[1], args[2], args[3])
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "bench [flags] [part ...]\nparts: %s; all, if none is named\n", strings.Join(bench.Parts(), ", "))
		flags.PrintDefaults()
	}
	out := flags.String("o", "docs/benchmarks.md", "the `page` to write")
	o := bench.Options{Log: os.Stdout}
	flags.IntVar(&o.Runs, "runs", 3, "how often each part is measured")
	flags.DurationVar(&o.Span, "span", 10*time.Second, "how long each load goes on")
	flags.DurationVar(&o.Long, "long", time.Minute, "how long the load of a million nodes goes on")
	flags.IntVar(&o.Nodes, "nodes", 1_000_000, "nodes in the parts about very many")
	if err := flags.Parse(args); err != nil {
		return err
	}
	page := bench.Page{Command: "make bench", Started: time.Now(), Runs: o.Runs}
	if flags.NArg() > 0 {
		page.Command += ` PARTS="` + strings.Join(flags.Args(), " ") + `"`
	}
	var err error
	if page.Commit, err = provenance.Commit(ctx); err != nil {
		return err
	}
	if page.Machine, err = provenance.Machine(); err != nil {
		return err
	}
	// Beside the sources, not in /tmp: that may be memory, where fsync costs nothing.
	if o.Dir, err = os.MkdirTemp(".", ".bench-"); err != nil {
		return fmt.Errorf("folder for data: %w", err)
	}
	defer os.RemoveAll(o.Dir)
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("folder for data: %w", err)
	}
	if err := os.Chmod(o.Dir, 0o711); err != nil { //nolint:gosec // Postgres, as another user, must come in
		return fmt.Errorf("folder for data: %w", err)
	}
	o.Bin = o.Dir
	fmt.Println("building the programs")
	if err := bench.Programs(ctx, o.Bin); err != nil {
		return err
	}
	figures, unmeasured := bench.Run(ctx, o, flags.Args()...)
	page.Figures = figures
	old, err := os.ReadFile(*out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(unmeasured, fmt.Errorf("read the page: %w", err))
	}
	var b bytes.Buffer
	if err := page.Write(&b, string(old)); err != nil {
		return errors.Join(unmeasured, err)
	}
	if err := os.WriteFile(*out, b.Bytes(), 0o644); err != nil { //nolint:gosec // a page for people
		return errors.Join(unmeasured, fmt.Errorf("write the page: %w", err))
	}
	fmt.Println(*out)
	return unmeasured
}
