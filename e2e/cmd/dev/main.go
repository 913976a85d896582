// Command dev starts the monitor as separate programs on a private nats-server and a private Postgres, with a pretended
// Telegram and an agent, in a temporary directory, for trying things by hand. Ctrl-C ends and removes everything.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.SetOutput(stderr)
	web := flags.String("web", "127.0.0.1:8080", "address of the page")
	ingest := flags.String("ingest", "127.0.0.1:8081", "address for heartbeats")
	threshold := flags.String("threshold", "30", "DOWN_THRESHOLD_SEC")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := serve(ctx, stdout, *web, *ingest, *threshold); err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "dev:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, out io.Writer, web, ingest, threshold string) (err error) {
	dir, err := os.MkdirTemp("", "gensyn-dev-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(out, "building the programs …")
	bin := filepath.Join(dir, "bin")
	agent := "github.com/gensyn-monitor/gensyn-monitor/agent/cmd/gensyn-agent"
	if err := cluster.Build(ctx, bin, append(cluster.Programs, agent)...); err != nil {
		return err
	}
	env, telegram := telegramEnv(out)
	if telegram != nil {
		defer telegram.Close()
	}
	secret := rand.Text()
	fmt.Fprintln(out, "starting Postgres, NATS and the services …")
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin, Secret: secret, WebAddr: web, InAddr: ingest,
		Env: append(env, "DOWN_THRESHOLD_SEC="+threshold, "PUBLIC_URL=http://"+web),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	a := &cluster.Process{
		Name: "agent", Path: filepath.Join(bin, "gensyn-agent"), Args: []string{"run"}, Log: filepath.Join(dir, "agent.log"),
		Env: []string{"SERVER_URL=" + c.IngestURL, "SHARED_SECRET=" + secret, "INTERVAL_SEC=10", "IP_CMD=echo 192.0.2.1"},
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	fmt.Fprintf(out, `
The monitor runs as four programs. An agent reports this machine every 10 seconds (DOWN, unless a node runs here).

  Page:      %s
  Heartbeat: curl -d '{"node_id":"test","status":"UP"}' -H 'Authorization: Bearer %s' %s/api/heartbeat
  Database:  psql '%s'
  Logs:      %s/*.log

Ctrl-C ends and removes everything.
`, c.WebURL, secret, c.IngestURL, c.DatabaseURL, dir)
	<-ctx.Done()
	fmt.Fprintln(out, "\nstopping …")
	return nil
}

// passed on to the notifier, so that all it can do can be tried.
var passed = []string{
	"TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "TELEGRAM_BOT_COMMANDS", "TELEGRAM_API_URL", "ROUTES", "REMINDERS", "DAILY_SUMMARY",
	"WEBHOOK_URL", "WEBHOOK_SECRET", "HTTPS_PROXY", "LANGUAGE", "TZ",
}

// telegramEnv passes a real token on, or pretends a Telegram that prints what it is told.
func telegramEnv(out io.Writer) ([]string, *telegramtest.Server) {
	var env []string
	for _, name := range passed {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	if os.Getenv("TELEGRAM_BOT_TOKEN") != "" {
		return env, nil
	}
	s := telegramtest.New()
	s.Watch(func(m telegramtest.Message) {
		fmt.Fprintf(out, "\n--- Telegram (pretended), chat %s\n%s\n", m.Chat, strings.TrimSpace(m.Plain))
	})
	return append(env, "TELEGRAM_BOT_TOKEN=123456:pretended", "TELEGRAM_CHAT_ID=1", "TELEGRAM_API_URL="+s.URL()), s
}
