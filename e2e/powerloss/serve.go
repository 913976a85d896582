package powerloss

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/rpc"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// serverVariable makes a test binary serve a machine's disks.
const serverVariable = "POWERLOSS_SERVER"

// Request is what a Machine asks its server; each call reads what it needs.
type Request struct {
	SyncDelay, Limit time.Duration
	From, At         string
	Disk             int
	Position, To     int
	Mode             Mode
	Seed             uint64
}

// ServeIfAsked does not return when this process was started to serve the disks of a Machine. TestMain calls it first.
func ServeIfAsked() {
	if os.Getenv(serverVariable) != "" {
		os.Exit(serve())
	}
}

// serve serves until the process that started it is gone or has had enough, and leaves nothing mounted.
func serve() int {
	s := &service{journal: &journal{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	go func() {
		<-ended
		s.close()
		os.Exit(1)
	}()
	server := rpc.NewServer()
	if err := server.RegisterName("disks", s); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
	s.close()
	return 0
}

// stdio joins the two directions of a connection.
type stdio struct {
	io.ReadCloser
	io.WriteCloser
}

// Close implements io.Closer.
func (s stdio) Close() error { return errors.Join(s.ReadCloser.Close(), s.WriteCloser.Close()) }

// service is the server's side of a Machine.
type service struct {
	journal *journal
	mu      sync.Mutex
	disks   []*disk
}

func (s *service) disk(i int) *disk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disks[i]
}

func (s *service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.disks {
		d.take(nil)
	}
}

// Begin comes first.
func (s *service) Begin(r Request, _ *struct{}) error {
	s.journal.syncDelay = r.SyncDelay
	return removeStale()
}

// Mount returns the disk's number.
func (s *service) Mount(r Request, number *int) error {
	d, err := s.journal.mount(r.From, r.At, r.Limit)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*number = len(s.disks)
	s.disks = append(s.disks, d)
	return nil
}

// Unmount takes a disk away.
func (s *service) Unmount(r Request, _ *struct{}) error { return s.disk(r.Disk).unmount() }

// Position returns the journal's.
func (s *service) Position(_ Request, position *int) error {
	*position = s.journal.position()
	return nil
}

// Syncs returns the positions of completed fsyncs.
func (s *service) Syncs(r Request, syncs *[]int) error {
	*syncs = s.journal.syncs(r.Position, r.To)
	return nil
}

// Survivor writes what a disk would hold.
func (s *service) Survivor(r Request, _ *struct{}) error {
	return s.disk(r.Disk).survivor(r.At, r.Position, r.Mode, rand.New(rand.NewPCG(r.Seed, 0)))
}
