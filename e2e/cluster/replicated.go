package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/link"
	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// Replicated is the monitor as a team runs it: three nats-servers in a cluster, one Postgres, two of each service. Every
// connection between them goes through a link of its own that can be made to fail.
type Replicated struct {
	Postgres   *postgrestest.Server
	NATS       []*Process
	Ingests    []*Instance
	Evaluators []*Instance
	Notifiers  []*Instance
	Webs       []*Instance
	NATSURL    string // of all servers, without links

	natsAddrs []string
	links     []*link.Link
}

// Instance is one process of a service and the links it uses.
type Instance struct {
	*Process
	Metrics  string       // address of /metrics and /readyz
	URL      string       // of ingest and web; of ingest through Front
	Front    *link.Link   // between agents and an ingest; nil for others
	Database *link.Link   // nil for ingest
	NATS     []*link.Link // one for each server
	Telegram *link.Link   // of a notifier; nil for others
}

// Links are all that the instance has.
func (i *Instance) Links() []*link.Link {
	var out []*link.Link
	for _, k := range append([]*link.Link{i.Front, i.Database, i.Telegram}, i.NATS...) {
		if k != nil {
			out = append(out, k)
		}
	}
	return out
}

// ReplicatedOptions say what runs.
type ReplicatedOptions struct {
	Dir      string // for data and logs; must exist
	Bin      string // where Build put the programs
	Secret   string
	Telegram string   // address of the Bot API, http://host:port
	Env      []string // for every service, NAME=value
	Servers  int      // nats-servers: 3, or 1 without a cluster; 0 for 3
}

// StartReplicated starts everything and waits until all are ready. On an error nothing is left running.
func StartReplicated(ctx context.Context, o ReplicatedOptions) (*Replicated, error) {
	r := &Replicated{}
	if o.Servers == 0 {
		o.Servers = 3
	}
	if err := r.start(ctx, o); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Replicated) start(ctx context.Context, o ReplicatedOptions) (err error) {
	data := filepath.Join(o.Dir, "postgres")
	if err := errors.Join(os.Chmod(o.Dir, 0o711), os.Mkdir(data, 0o700)); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if r.Postgres, err = postgrestest.StartServer(data, postgrestest.Options{Fsync: true}); err != nil {
		return err
	}
	if err := r.defineNATS(o); err != nil {
		return err
	}
	if err := StartAll(ctx, r.NATS); err != nil {
		return err
	}
	if err := r.defineServices(o); err != nil {
		return err
	}
	if err := r.StartServices(ctx); err != nil {
		return err
	}
	return r.AwaitReady(ctx)
}

// StartServices starts all processes of the services. They may not be ready yet.
func (r *Replicated) StartServices(ctx context.Context) error {
	return each(r.Services(), func(i *Instance) error { return i.Start(ctx) })
}

// AwaitReady waits until each has what it needs.
func (r *Replicated) AwaitReady(ctx context.Context) error {
	return each(r.Services(), func(i *Instance) error { return i.Await(ctx, "http://"+i.Metrics+"/readyz") })
}

// each does something to all at once.
func each[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = do(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Services are all instances.
func (r *Replicated) Services() []*Instance {
	var out []*Instance
	for _, group := range [][]*Instance{r.Evaluators, r.Notifiers, r.Webs, r.Ingests} {
		out = append(out, group...)
	}
	return out
}

func (r *Replicated) defineNATS(o ReplicatedOptions) error {
	names := []string{"a", "b", "c"}[:o.Servers]
	addrs, err := freeAddrs(3 * len(names))
	if err != nil {
		return err
	}
	var routes, urls []string
	for i := range names {
		routes = append(routes, `"nats://`+addrs[3*i+2]+`"`)
		r.natsAddrs = append(r.natsAddrs, addrs[3*i])
		urls = append(urls, "nats://"+addrs[3*i])
	}
	r.NATSURL = strings.Join(urls, ",")
	for i, name := range names {
		p, err := natsServer(Options{Dir: o.Dir, Bin: o.Bin}, "nats-"+name, addrs[3*i], addrs[3*i+1])
		if err != nil {
			return err
		}
		if len(names) > 1 {
			conf := fmt.Sprintf("server_name: %q\ncluster { name: monitor, listen: %q, routes: [%s] }\n",
				name, addrs[3*i+2], strings.Join(routes, ", "))
			if err := appendFile(p.Args[1], conf); err != nil {
				return err
			}
		}
		r.NATS = append(r.NATS, p)
	}
	return nil
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

func freeAddrs(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		var err error
		if out[i], err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Replicated) defineServices(o ReplicatedOptions) error {
	groups := []struct {
		name string
		into *[]*Instance
		more func(ReplicatedOptions, *Instance) error
	}{
		{"evaluator", &r.Evaluators, r.useDatabase},
		{"notifier", &r.Notifiers, r.useTelegram},
		{"web", &r.Webs, r.servePage},
		{"ingest", &r.Ingests, r.serveFront},
	}
	for _, g := range groups {
		for n := range 2 {
			i, err := r.instance(o, g.name, n+1)
			if err == nil {
				err = g.more(o, i)
			}
			if err != nil {
				return err
			}
			*g.into = append(*g.into, i)
		}
	}
	return nil
}

// instance is a service with links to all nats-servers.
func (r *Replicated) instance(o ReplicatedOptions, name string, n int) (*Instance, error) {
	metrics, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	i := &Instance{Metrics: metrics}
	var urls []string
	for _, addr := range r.natsAddrs {
		k, err := r.link(link.New(addr))
		if err != nil {
			return nil, err
		}
		i.NATS = append(i.NATS, k)
		urls = append(urls, "nats://"+k.Addr())
	}
	full := fmt.Sprintf("%s-%d", name, n)
	i.Process = &Process{
		Name: full, Path: filepath.Join(o.Bin, name), Ready: "http://" + metrics + "/healthz",
		Log: filepath.Join(o.Dir, full+".log"),
		Env: append([]string{
			"NATS_URL=" + strings.Join(urls, ","), "METRICS_ADDR=" + metrics, "LOG_FORMAT=json",
			fmt.Sprintf("NATS_REPLICAS=%d", len(r.natsAddrs)),
		}, o.Env...),
	}
	return i, nil
}

// link keeps a link for the end.
func (r *Replicated) link(k *link.Link, err error) (*link.Link, error) {
	if err == nil {
		r.links = append(r.links, k)
	}
	return k, err
}

func (r *Replicated) useDatabase(_ ReplicatedOptions, i *Instance) error {
	u, err := url.Parse(r.Postgres.URL("postgres"))
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if i.Database, err = r.link(link.ToPostgres(u.Host)); err != nil {
		return err
	}
	u.Host = i.Database.Addr()
	i.Env = append(i.Env, "DATABASE_URL="+u.String())
	return nil
}

func (r *Replicated) useTelegram(o ReplicatedOptions, i *Instance) error {
	u, err := url.Parse(o.Telegram)
	if err != nil {
		return fmt.Errorf("telegram: %w", err)
	}
	if i.Telegram, err = r.link(link.New(u.Host)); err != nil {
		return err
	}
	i.Env = append(i.Env, "TELEGRAM_API_URL=http://"+i.Telegram.Addr())
	return r.useDatabase(o, i)
}

func (r *Replicated) servePage(o ReplicatedOptions, i *Instance) error {
	addr, err := freeport.Address()
	if err != nil {
		return err
	}
	i.URL = "http://" + addr
	i.Env = append(i.Env, "LISTEN_ADDR="+addr)
	return r.useDatabase(o, i)
}

// serveFront puts a link between agents and an ingest, as a proxy or load balancer would stand there.
func (r *Replicated) serveFront(o ReplicatedOptions, i *Instance) error {
	addr, err := freeport.Address()
	if err != nil {
		return err
	}
	if i.Front, err = r.link(link.New(addr)); err != nil {
		return err
	}
	i.URL = "http://" + i.Front.Addr()
	i.Env = append(i.Env, "LISTEN_ADDR="+addr, "SHARED_SECRET="+o.Secret)
	return nil
}

// Heal ends every fault of every link.
func (r *Replicated) Heal() {
	for _, k := range r.links {
		k.Heal()
	}
}

// Aim makes the database links of all services lead to another server, as a failover does.
func (r *Replicated) Aim(databaseURL string) error {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	for _, i := range r.Services() {
		if i.Database != nil {
			i.Database.Aim(u.Host)
		}
	}
	return nil
}

// Stop ends everything, services first. Its error tells who did not end cleanly.
func (r *Replicated) Stop() error {
	r.Heal()
	err := each(r.Services(), func(i *Instance) error { return i.Stop() })
	err = errors.Join(err, each(r.NATS, (*Process).Stop))
	if r.Postgres != nil {
		err = errors.Join(err, r.Postgres.Stop())
	}
	for _, k := range r.links {
		k.Close()
	}
	return err
}

// StartAll starts processes that need each other to become ready.
func StartAll(ctx context.Context, all []*Process) error {
	return each(all, func(p *Process) error { return p.Start(ctx) })
}
