package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// embedded is a nats-server inside this process, without any port. Every message is on disk before it is acknowledged.
// It can be started again, while those connected to it reconnect by themselves.
type embedded struct {
	dataDir  string
	log      zerolog.Logger
	look     time.Duration // how often to look whether storing works
	patience time.Duration // how long storing must fail before the server is started again

	mu     sync.Mutex
	server *server.Server
}

// startNATS starts it, and waits for as long as the recovery of its streams takes.
func startNATS(ctx context.Context, dataDir string, log zerolog.Logger) (*embedded, error) {
	e := &embedded{
		dataDir: dataDir, log: log.With().Str("part", "NATS").Logger(),
		look: 2 * time.Second, patience: 10 * time.Second,
	}
	return e, e.start(ctx)
}

func (e *embedded) start(ctx context.Context) error {
	s, err := server.NewServer(&server.Options{
		ServerName: id,
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   filepath.Join(e.dataDir, "nats"),
		SyncAlways: true,
		// Half the disk at most; the streams ask for less when it is less.
		JetStreamMaxStore:  halfDisk(e.dataDir),
		JetStreamMaxMemory: 64 << 20,
	})
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(natsLog{e.log}, false, false, false)
	go s.Start()
	for !s.ReadyForConnections(time.Second) {
		if ctx.Err() != nil || !s.Running() {
			s.Shutdown()
			return errors.Join(errors.New("embedded NATS did not start: can the data directory be written, is the disk full?"), ctx.Err())
		}
		e.log.Info().Msg("recovering the stream")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
	return nil
}

// InProcessConn implements nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.current().InProcessConn() }

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

func (e *embedded) stop() {
	s := e.current()
	s.Shutdown()
	s.WaitForShutdown()
}

// watch ends when the server does, which stops everything: a monitor that hears nothing is none. It starts the server
// again when storing keeps failing although the disk can be written: nats-server 2.15 keeps a write error, such as a
// full disk, until it is restarted. failing says why nothing can be stored, or nil.
func (e *embedded) watch(ctx context.Context, failing func() error) error {
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(e.look):
		}
		if !e.current().Running() {
			return errors.New("the embedded NATS server stopped")
		}
		why := failing()
		switch {
		case why == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= e.patience:
			since = time.Time{}
			if err := e.mend(ctx, why); err != nil {
				return err
			}
		}
	}
}

// mend starts the server again, if that can help.
func (e *embedded) mend(ctx context.Context, why error) error {
	if err := probeDisk(e.dataDir); err != nil {
		e.log.Error().Err(err).Msg("THE DATA DIRECTORY CANNOT BE WRITTEN: heartbeats are refused until it can")
		return nil
	}
	e.log.Warn().AnErr("why", why).Msg("heartbeats cannot be stored although the disk can be written: starting NATS again")
	e.stop()
	return e.start(ctx)
}

// probeDisk reports whether a file as large as a few messages can be stored.
func probeDisk(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4<<20))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// natsLog passes on what the server complains of. Its notices are for those who run one.
type natsLog struct{ zerolog.Logger }

// Noticef implements server.Logger.
func (l natsLog) Noticef(format string, v ...any) { l.Logger.Debug().Msgf(format, v...) }

// Warnf implements server.Logger.
func (l natsLog) Warnf(format string, v ...any) { l.Logger.Warn().Msgf(format, v...) }

// Fatalf implements server.Logger.
func (l natsLog) Fatalf(format string, v ...any) { l.Logger.Error().Msgf(format, v...) }

// Errorf implements server.Logger.
func (l natsLog) Errorf(format string, v ...any) { l.Logger.Error().Msgf(format, v...) }

// Debugf implements server.Logger.
func (l natsLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l natsLog) Tracef(string, ...any) {}
