package powerloss

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// message is one that JetStream acknowledged.
type message struct {
	seq  uint64
	data []byte
	at   int // the journal's position when the acknowledgement was here
}

// recording is a run of nats-server with publishers on a disk.
type recording struct {
	machine *Machine
	disk    *Disk
	first   int // position at which something was at stake: after the first acknowledgement
	acked   []message
}

// record runs publishers of so many messages each and then ends the server.
func record(t *testing.T, syncInterval string, each int) *recording {
	t.Helper()
	dir := room(t)
	empty, store := filepath.Join(dir, "empty"), filepath.Join(dir, "store")
	must(t, os.Mkdir(empty, 0o755), os.Mkdir(store, 0o755))
	r := &recording{machine: machine(t)}
	r.disk = mount(t, r.machine, empty, store)
	server, url := natsServer(t, dir, store, syncInterval)
	b := connect(t, url)
	must(t, b.EnsureStreams(t.Context(), 0, bus.StreamLimits{}))
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 4 {
		wg.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 1))
			for n := range each {
				data := bytes.Repeat(fmt.Appendf(nil, "%d/%d ", i, n), 1+chance.IntN(10000))
				seq, err := b.Publish(t.Context(), contract.HeartbeatSubject(0), data)
				if err != nil {
					t.Errorf("publish: %v", err)
					return
				}
				mu.Lock()
				r.acked = append(r.acked, message{seq, data, r.machine.Position()})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.Fatal(tail(server.Log))
	}
	r.first = r.acked[0].at
	server.Kill()
	unmounted(t, r.disk)
	return r
}

// find starts nats-server on what survived and returns how many messages should be there and how many of them are not.
func (r *recording) find(t *testing.T, position int, mode Mode, chance *rand.Rand) (due, lost int) {
	t.Helper()
	dir := room(t)
	store := filepath.Join(dir, "survivor")
	must(t, os.Mkdir(store, 0o755), r.disk.Survivor(store, position, mode, chance))
	server, url := natsServer(t, dir, store, "always")
	b := connect(t, url)
	there, err := messages(t, b)
	if err != nil && !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("read the survivor at %d (%v): %v\n%s", position, mode, err, tail(server.Log))
	}
	for _, m := range r.acked {
		if m.at > position {
			continue
		}
		due++
		if !bytes.Equal(there[m.seq], m.data) {
			lost++
		}
	}
	if err == nil {
		if _, err := b.Publish(t.Context(), contract.HeartbeatSubject(0), []byte("goes on")); err != nil {
			t.Errorf("the survivor at %d (%v) takes no message: %v", position, mode, err)
		}
	}
	b.Close()
	server.Kill()
	must(t, os.RemoveAll(dir))
	return due, lost
}

// messages reads the whole stream.
func messages(t *testing.T, b *bus.Bus) (map[uint64][]byte, error) {
	t.Helper()
	info, err := b.Info(t.Context(), 0)
	if err != nil || info.Last < info.First || info.Last == 0 {
		return nil, err
	}
	r, err := b.Consume(t.Context(), 0, bus.Start{Seq: info.First})
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	out := map[uint64][]byte{}
	for {
		select {
		case m, ok := <-r.Messages():
			if !ok {
				return out, r.Err()
			}
			out[m.Seq] = m.Data
			if m.Seq == info.Last {
				return out, nil
			}
		case <-time.After(20 * time.Second):
			return out, fmt.Errorf("the stream ends at %d, not %d", len(out), info.Last)
		}
	}
}

// cuts takes the power away at some moments and adds up what find says.
func (r *recording) cuts(t *testing.T, mode Mode, chance *rand.Rand, n int) (due, lost int) {
	t.Helper()
	end := r.machine.Position()
	for _, position := range moments(t, r.machine, chance, r.first, end, n) {
		d, l := r.find(t, position, mode, chance)
		t.Logf("cut at %d of %d: %d of %d lost", position, end, l, d)
		due, lost = due+d, lost+l
	}
	return due, lost
}

// Whatever JetStream acknowledged is there after a power cut, on every disk that keeps the name of a synced file.
func TestNATS(t *testing.T) {
	chance := luck(t)
	r := record(t, "always", 150)
	n := rounds(t, 3)
	for _, mode := range disks([]Mode{Journalled, Torn, OwnName}, Journalled, Torn) {
		t.Run(mode.String(), func(t *testing.T) {
			due, lost := r.cuts(t, mode, chance, n)
			if lost > 0 || due == 0 {
				t.Errorf("%d of %d acknowledged messages are lost", lost, due)
			}
			reliability.Report(t, reliability.Row{
				Group: group, Fault: fmt.Sprintf("power off under nats-server (sync_interval: always), disk: %v", mode),
				Must: "every acknowledged message is there", Rounds: n,
				Seen: fmt.Sprintf("%d acknowledged before the cuts, %d lost", due, lost),
			})
		})
	}
}

// NATS syncs files and not the folders they are in. That is enough on file systems such as ext4, which keep the name of a
// file that is synced; POSIX does not ask it of them. When this fails NATS has become better than we say.
func TestNATSNeedsNamesKept(t *testing.T) {
	chance := luck(t)
	r := record(t, "always", 50)
	due, lost := r.cuts(t, Minimal, chance, 2)
	if lost == 0 {
		t.Errorf("none of %d messages is lost: nats-server syncs its folders now, promise it", due)
	}
	reliability.Report(t, reliability.Row{
		Group: group, Fault: "power off under nats-server, on a disk that does not keep the name of a synced file, as POSIX allows",
		Must: "nothing is promised: nats-server does not sync folders", Rounds: 2,
		Seen: fmt.Sprintf("%d of %d acknowledged messages lost", lost, due),
	})
}

// The control experiment: with NATS's own default the same cuts lose messages, so the disk does forget.
func TestNATSDefaultLoses(t *testing.T) {
	chance := luck(t)
	r := record(t, "2m", 50)
	due, lost := r.find(t, r.machine.Position(), Journalled, chance)
	if lost == 0 {
		t.Errorf("nothing of %d messages is lost: the disk does not forget what was not synced", due)
	}
	reliability.Report(t, reliability.Row{
		Group: group, Fault: "control: power off under nats-server with its default sync_interval: 2m", Must: "the test sees a loss",
		Seen: fmt.Sprintf("%d of %d acknowledged messages lost", lost, due), Rounds: 1,
	})
}
