package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// threeServers are a cluster, each of which may store so many bytes.
func threeServers(t *testing.T, bytes int64) string {
	t.Helper()
	var routes []*url.URL
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: l.Addr().String()})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var servers []*server.Server
	for i, own := range routes {
		port, err := strconv.Atoi(own.Port())
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, ServerName: fmt.Sprintf("s%d", i),
			JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: bytes,
			Cluster: server.ClusterOpts{Name: "monitor", Host: "127.0.0.1", Port: port}, Routes: routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		go s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("nats-server: not ready")
		}
	}
	return servers[0].ClientURL()
}

// The servers of a cluster, too, are asked for less room until they have it.
func TestAClusterGetsTheLargestStreamThatFits(t *testing.T) {
	const room = 1 << 30
	b, err := bus.Connect(bus.Options{URL: threeServers(t, room), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	limits := bus.StreamLimits{Replicas: 3}
	deadline := time.Now().Add(time.Minute) // a missing stream of a cluster is made after some seconds
	for err = b.EnsureStreams(t.Context(), 0, limits); err != nil; err = b.EnsureStreams(t.Context(), 0, limits) {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	info, err := b.Info(t.Context(), 0)
	if err != nil || info.Replicas != 3 || info.MaxBytes < room/4 || info.MaxBytes > room {
		t.Errorf("%+v, %v: want %d bytes or nearly", info, err, room)
	}
}
