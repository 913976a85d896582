// Package rig puts the separate programs together piece by piece: one nats-server, one Postgres, and as many of each
// service as a test asks for, each with an environment of its own that may change from start to start.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// Secret lets agents in.
const Secret = "rig-secret"

// Options say what a rig is made of.
type Options struct {
	Bin     string   // where cluster.Build put the programs
	NATSEnv []string // of the nats-server, NAME=value
	Env     []string // of every service
}

// Rig is the running nats-server and Postgres, and the services added so far.
type Rig struct {
	Dir         string // of data and logs
	Postgres    *postgrestest.Server
	NATS        *cluster.Process
	NATSURL     string
	DatabaseURL string

	options Options
	mu      sync.Mutex
	added   []*Service
}

// Service is one process of a service.
type Service struct {
	*cluster.Process
	URL     string // of ingest and web, "" for others
	Metrics string // of /metrics and /readyz
	env     []string
}

// Start starts Postgres and the nats-server in a new directory. On an error nothing is left.
func Start(ctx context.Context, o Options) (*Rig, error) {
	r := &Rig{options: o}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context) (err error) {
	// Postgres runs as another user when we are root, and must be able to enter.
	if r.Dir, err = os.MkdirTemp("", "gensyn-rig-"); err != nil {
		return fmt.Errorf("start the rig: %w", err)
	}
	data := filepath.Join(r.Dir, "postgres")
	if err := errors.Join(os.Chmod(r.Dir, 0o711), os.Mkdir(data, 0o700)); err != nil {
		return fmt.Errorf("start the rig: %w", err)
	}
	if r.Postgres, err = postgrestest.StartServer(data, postgrestest.Options{}); err != nil {
		return err
	}
	r.DatabaseURL = r.Postgres.URL("postgres")
	return r.startNATS(ctx)
}

func (r *Rig) startNATS(ctx context.Context) error {
	addr, err := freeport.Address()
	if err != nil {
		return err
	}
	monitor, err := freeport.Address()
	if err != nil {
		return err
	}
	conf := fmt.Sprintf("listen: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always, max_file: 4G }\n",
		addr, monitor, filepath.Join(r.Dir, "nats"))
	path := filepath.Join(r.Dir, "nats.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return fmt.Errorf("start nats-server: %w", err)
	}
	r.NATSURL = "nats://" + addr
	r.NATS = &cluster.Process{
		Name: "nats-server", Path: filepath.Join(r.options.Bin, "nats-server"), Args: []string{"-c", path}, Env: r.options.NATSEnv,
		Ready: "http://" + monitor + "/healthz", Log: filepath.Join(r.Dir, "nats.log"),
	}
	return r.NATS.Start(ctx)
}

// Add starts one more process of a program under a name of its own, and waits until it answers. What env says goes
// before what Options say.
func (r *Rig) Add(ctx context.Context, program, name string, env ...string) (*Service, error) {
	s, err := r.define(program, name, env)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.added = append(r.added, s)
	r.mu.Unlock()
	return s, s.Restart(ctx)
}

func (r *Rig) define(program, name string, env []string) (*Service, error) {
	metrics, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	s := &Service{Metrics: metrics}
	s.env = slices.Concat([]string{"NATS_URL=" + r.NATSURL, "METRICS_ADDR=" + metrics, "LOG_FORMAT=json"}, r.options.Env, env)
	if program == "ingest" || program == "web" {
		addr, err := freeport.Address()
		if err != nil {
			return nil, err
		}
		s.URL = "http://" + addr
		s.env = append(s.env, "LISTEN_ADDR="+addr)
	}
	if program == "ingest" {
		s.env = append(s.env, "SHARED_SECRET="+Secret)
	} else {
		s.env = append(s.env, "DATABASE_URL="+r.DatabaseURL)
	}
	s.Process = &cluster.Process{
		Name: name, Path: filepath.Join(r.options.Bin, program),
		Ready: "http://" + metrics + "/healthz", Log: filepath.Join(r.Dir, name+".log"),
	}
	return s, nil
}

// Restart stops the process, if it runs, and starts it with more in its environment than Add said, for this once.
func (s *Service) Restart(ctx context.Context, more ...string) error {
	if err := s.Stop(); err != nil {
		return err
	}
	s.Env = slices.Concat(s.env, more)
	return s.Start(ctx)
}

// AwaitReady waits until the service has what it needs.
func (s *Service) AwaitReady(ctx context.Context) error {
	return s.Await(ctx, "http://"+s.Metrics+"/readyz")
}

// Stop ends everything, services first, and removes the directory. Its error tells who did not end cleanly.
func (r *Rig) Stop() error {
	var errs []error
	for _, s := range slices.Backward(r.added) {
		errs = append(errs, s.Stop())
	}
	if r.NATS != nil {
		errs = append(errs, r.NATS.Stop())
	}
	if r.Postgres != nil {
		errs = append(errs, r.Postgres.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(r.Dir))...)
}
