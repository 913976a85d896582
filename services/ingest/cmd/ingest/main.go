// Command ingest takes heartbeats over HTTP and stores them in NATS JetStream.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
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
	program.HalfTheCores(os.Getenv("GOMAXPROCS")) // one core takes 50,000 heartbeats a second
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// gcPercent lets the heap grow to five times what is in use, some 20 MB: by Go's own measure a heap as small as this is
// collected dozens of times a second under load, for a tenth of the processor time.
const gcPercent = 400

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
