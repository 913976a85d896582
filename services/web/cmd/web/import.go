package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/monitordb"
)

// importConfig is what an import needs of the environment of web.
type importConfig struct {
	DatabaseURL settings.Secret `envconfig:"DATABASE_URL" required:"true"`
	NATSURL     string          `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222"`
	NATSCreds   string          `envconfig:"NATS_CREDS_FILE"`
}

// importCommand imports into the monitor that this program is a part of, which goes on meanwhile.
func importCommand() program.Command {
	var cfg importConfig
	return monitordb.Command(&cfg, func(ctx context.Context, f func(monitordb.Target) error) error {
		store, err := postgres.Open(ctx, cfg.DatabaseURL.Reveal(), postgres.Options{})
		if err != nil {
			return err
		}
		defer store.Close()
		nats, err := bus.Connect(bus.Options{URL: cfg.NATSURL, Name: program.Instance("import"), CredsFile: cfg.NATSCreds})
		if err != nil {
			return err
		}
		defer nats.Close()
		if err := connected(ctx, nats); err != nil {
			return err
		}
		return f(monitordb.Target{Store: store, Stream: nats})
	})
}

// connected waits for the first connection.
func connected(ctx context.Context, nats *bus.Bus) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	always := func(error) bool { return true }
	_, err := program.Await(ctx, zerolog.Nop(), "NATS", always, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, nats.Ready(ctx)
	})
	if err != nil {
		return errors.New("NATS_URL: no connection within 5 s")
	}
	return nil
}
