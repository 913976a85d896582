package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// NATSServers defines n nats-servers below dir that are one cluster, or one server on its own when n is 1, and their
// NATS_URL. The programs must be in bin. Every message is on disk before it is acknowledged.
func NATSServers(dir, bin string, n int) (servers []*Process, url string, err error) {
	addrs := make([]string, 3*n)
	for i := range addrs {
		if addrs[i], err = freeport.Address(); err != nil {
			return nil, "", err
		}
	}
	clients, routes := addrs[:n], addrs[n:2*n]
	var peers []string
	for _, r := range routes {
		peers = append(peers, "nats-route://"+r)
	}
	for i := range n {
		name, monitor := fmt.Sprintf("nats-%d", i+1), addrs[2*n+i]
		conf := fmt.Sprintf("server_name: %s\nlisten: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always, max_file: 1G }\n",
			name, clients[i], monitor, filepath.Join(dir, name))
		if n > 1 {
			conf += fmt.Sprintf("cluster { name: monitor, listen: %q, routes: [%s] }\n", routes[i], strings.Join(peers, ", "))
		}
		path := filepath.Join(dir, name+".conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			return nil, "", fmt.Errorf("nats-server: %w", err)
		}
		servers = append(servers, &Process{
			Name: name, Path: filepath.Join(bin, "nats-server"), Args: []string{"-c", path},
			Ready: "http://" + monitor + "/healthz", Log: filepath.Join(dir, name+".log"),
		})
	}
	return servers, "nats://" + strings.Join(clients, ",nats://"), nil
}

// StartTogether starts processes that are ready only when the others run, too.
func StartTogether(ctx context.Context, processes ...*Process) error {
	var g errgroup.Group
	for _, p := range processes {
		g.Go(func() error { return p.Start(ctx) })
	}
	return g.Wait()
}

// StopTogether stops processes, at the same time. Its error tells who did not end cleanly.
func StopTogether(processes ...*Process) error {
	errs := make([]error, len(processes))
	var g errgroup.Group
	for i, p := range processes {
		g.Go(func() error { errs[i] = p.Stop(); return nil })
	}
	_ = g.Wait()
	return errors.Join(errs...)
}
