// Command ingest takes heartbeats over HTTP and stores them in NATS JetStream.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/coresShare))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// gcPercent lets the heap grow to five times what is in use, some 20 MB: by Go's own measure a heap as small as this is
// collected dozens of times a second under load, for a tenth of the processor time.
const gcPercent = 400

// coresShare leaves half of the cores to what runs beside ingest. One core takes 50,000 heartbeats a second; below that,
// Go's threads on further ones mostly look for work to steal from each other: a seventh of the processor time at 5,000/s.
const coresShare = 2

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cfg ingest.ProcessConfig
	return program.Program{
		Name:    "ingest",
		Summary: "takes heartbeats over HTTP and stores them in NATS JetStream.",
		Config:  &cfg,
		Health:  func() string { return cfg.MetricsAddr },
		Serve:   func(ctx context.Context, log zerolog.Logger) error { return serve(ctx, cfg, log) },
	}.Run(ctx, args, stdout, stderr)
}
