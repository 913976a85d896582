package stack

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsStart is how long the embedded server may take to recover its streams.
const natsStart = 60 * time.Second

// startNATS runs JetStream inside this process, without any port. Every message is on disk before it is acknowledged.
func startNATS(dataDir string) (*server.Server, error) {
	dir := filepath.Join(dataDir, "nats")
	opts := &server.Options{
		ServerName: "standalone",
		DontListen: true,
		NoSigs:     true,
		NoLog:      true,
		JetStream:  true,
		StoreDir:   dir,
		SyncAlways: true,
		// Half the disk at most; the streams ask for less when it is less.
		JetStreamMaxStore:  halfDisk(dataDir),
		JetStreamMaxMemory: 64 << 20,
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	go s.Start()
	if !s.ReadyForConnections(natsStart) {
		s.Shutdown()
		return nil, errors.New("embedded NATS: not ready in time; is the data directory writable and the disk not full?")
	}
	return s, nil
}
