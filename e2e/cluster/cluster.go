// Package cluster runs the monitor as separate programs: a private nats-server, a private Postgres, the four services.
// Everything listens on free loopback ports and lives in one directory.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

const module = "github.com/gensyn-monitor/gensyn-monitor"

// Notifier is the package of the notifier's program.
const Notifier = module + "/services/notifier/cmd/notifier"

// Programs are the packages that Build needs for a cluster.
var Programs = []string{
	module + "/services/ingest/cmd/ingest",
	module + "/services/evaluator/cmd/evaluator",
	Notifier,
	module + "/services/web/cmd/web",
	"github.com/nats-io/nats-server/v2",
}

// Options say what runs.
type Options struct {
	Dir     string // for data and logs; must exist
	Bin     string // where Build put the programs
	Secret  string
	Env     []string // for every service, NAME=value
	WebAddr string   // "" for a free port
	InAddr  string   // of ingest; "" for a free port
	// Only are the services that are started, by name; nil for all.
	Only []string
	// Postgres are settings of the database server, name=value.
	Postgres []string
}

// Cluster is the running monitor.
type Cluster struct {
	Postgres                               *postgrestest.Server
	NATS, Ingest, Evaluator, Notifier, Web *Process
	IngestURL, WebURL, DatabaseURL         string
	NATSURL                                string

	only []string
}

// Start starts everything and waits until all are ready. On an error nothing is left running.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	// Postgres runs as another user when we are root, and must be able to enter.
	data := filepath.Join(o.Dir, "postgres")
	err := errors.Join(os.Chmod(o.Dir, 0o711), os.MkdirAll(data, 0o700))
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if c.Postgres, err = postgrestest.StartServer(data, postgrestest.Options{Fsync: true, Settings: o.Postgres}); err != nil {
		return err
	}
	c.DatabaseURL = c.Postgres.URL("postgres")
	if err := c.define(o); err != nil {
		return err
	}
	if err := c.NATS.Start(ctx); err != nil {
		return err
	}
	return c.StartServices(ctx)
}

// StartServices starts the four services and waits until each has what it needs.
func (c *Cluster) StartServices(ctx context.Context) error {
	for _, p := range c.Services() {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	for _, p := range c.Services() {
		if err := p.Await(ctx, strings.Replace(p.Ready, "/healthz", "/readyz", 1)); err != nil {
			return err
		}
	}
	return nil
}

// define says what each process is, in the order in which they are started.
func (c *Cluster) define(o Options) error {
	addrs := make([]string, 8)
	for i := range addrs {
		var err error
		if addrs[i], err = freeport.Address(); err != nil {
			return err
		}
	}
	if o.InAddr == "" {
		o.InAddr = addrs[0]
	}
	if o.WebAddr == "" {
		o.WebAddr = addrs[1]
	}
	c.IngestURL, c.WebURL, c.NATSURL, c.only = "http://"+o.InAddr, "http://"+o.WebAddr, "nats://"+addrs[2], o.Only
	var err error
	if c.NATS, err = natsServer(o, "nats", addrs[2], addrs[3]); err != nil {
		return err
	}
	service := func(name, metrics string, env ...string) *Process {
		env = append(env, "NATS_URL="+c.NATSURL, "METRICS_ADDR="+metrics, "LOG_FORMAT=json")
		return &Process{
			Name: name, Path: filepath.Join(o.Bin, name), Env: append(env, o.Env...),
			Ready: "http://" + metrics + "/healthz", Log: filepath.Join(o.Dir, name+".log"),
		}
	}
	database := "DATABASE_URL=" + c.DatabaseURL
	c.Evaluator = service("evaluator", addrs[4], database)
	c.Notifier = service("notifier", addrs[5], database)
	c.Web = service("web", addrs[6], database, "LISTEN_ADDR="+o.WebAddr)
	c.Ingest = service("ingest", addrs[7], "SHARED_SECRET="+o.Secret, "LISTEN_ADDR="+o.InAddr)
	return nil
}

func natsServer(o Options, name, addr, monitor string) (*Process, error) {
	dir := filepath.Join(o.Dir, name)
	conf := fmt.Sprintf("listen: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always, max_file: 300G }\n", addr, monitor, dir)
	path := filepath.Join(o.Dir, name+".conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, fmt.Errorf("nats-server: %w", err)
	}
	return &Process{
		Name: name, Path: filepath.Join(o.Bin, "nats-server"), Args: []string{"-c", path},
		Ready: "http://" + monitor + "/healthz", Log: filepath.Join(o.Dir, name+".log"),
	}, nil
}

// Services are the four, or those that the options name, in the order in which they are started.
func (c *Cluster) Services() []*Process {
	all := []*Process{c.Evaluator, c.Notifier, c.Web, c.Ingest}
	if c.only == nil {
		return all
	}
	return slices.DeleteFunc(all, func(p *Process) bool { return !slices.Contains(c.only, p.Name) })
}

func (c *Cluster) processes() []*Process {
	if c.NATS == nil {
		return nil
	}
	return append([]*Process{c.NATS}, c.Services()...)
}

// Stop ends everything in reverse order. Its error tells who did not end cleanly.
func (c *Cluster) Stop() error {
	var errs []error
	processes := c.processes()
	for i := len(processes) - 1; i >= 0; i-- {
		errs = append(errs, processes[i].Stop())
	}
	if c.Postgres != nil {
		errs = append(errs, c.Postgres.Stop())
	}
	return errors.Join(errs...)
}
