package main

import (
	"context"
	"io"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/monitordb"
	"github.com/gensyn-monitor/gensyn-monitor/standalone/stack"
)

// importCommand imports into the data directory while the monitor is stopped: there is no way into a running one from
// another process.
func importCommand(cfg *config, stderr io.Writer) program.Command {
	return monitordb.Command(cfg, func(ctx context.Context, f func(monitordb.Target) error) error {
		log, err := cfg.Logger(stderr, "standalone")
		if err != nil {
			return err
		}
		o := stack.Options{DataDir: cfg.DataDir, Evaluator: cfg.EvaluatorConfig, Log: log.Level(zerolog.WarnLevel)}
		return stack.Offline(ctx, o, func(store nodestore.Reader, b *bus.Bus) error {
			return f(monitordb.Target{Store: store, Stream: b})
		})
	})
}
