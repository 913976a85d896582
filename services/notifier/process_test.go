package notifier

import (
	"context"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// process is all that one notifier reaches outside itself, so that it can be killed or frozen at any of its calls.
// Killed, nothing of it gets out any more. Frozen, every call waits until it thaws, while all clocks go on.
type process struct {
	nodestore.Deliveries // the real store

	mu     sync.Mutex
	at     func(step string) // called at each step, under no lock; may call kill or freeze
	dead   chan struct{}
	thawed chan struct{} // nil while it runs
}

func newProcess(s nodestore.Deliveries) *process {
	return &process{Deliveries: s, dead: make(chan struct{})}
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dead:
	default:
		close(p.dead)
	}
}

// freeze stops it for some time, as SIGSTOP and SIGCONT do.
func (p *process) freeze(d time.Duration) {
	p.mu.Lock()
	thawed := make(chan struct{})
	p.thawed = thawed
	p.mu.Unlock()
	time.AfterFunc(d, func() {
		p.mu.Lock()
		p.thawed = nil
		p.mu.Unlock()
		close(thawed)
	})
}

// step lets tests in, then waits while the process is frozen, or for the end of a dead one.
func (p *process) step(ctx context.Context, name string) error {
	if p.at != nil {
		p.at(name)
	}
	p.mu.Lock()
	thawed := p.thawed
	p.mu.Unlock()
	if thawed != nil {
		select {
		case <-thawed:
		case <-p.dead:
		}
	}
	select {
	case <-p.dead:
		<-ctx.Done() // nothing is ever answered; only the test's end frees what is left of it
		return ctx.Err()
	default:
		return nil
	}
}

// call is one call of the store, with a step before and after it.
func call[T any](ctx context.Context, p *process, name string, f func() (T, error)) (T, error) {
	var none T
	if err := p.step(ctx, "before "+name); err != nil {
		return none, err
	}
	v, err := f()
	if err := p.step(ctx, "after "+name); err != nil {
		return none, err
	}
	return v, err
}

func (p *process) do(ctx context.Context, name string, f func() error) error {
	_, err := call(ctx, p, name, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (p *process) AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (nodestore.ChatLease, error) {
	return call(ctx, p, "acquire", func() (nodestore.ChatLease, error) {
		return p.Deliveries.AcquireChat(ctx, chat, owner, ttl, lookback)
	})
}

func (p *process) TakeOverChat(ctx context.Context, seen nodestore.ChatLease, owner string, ttl time.Duration) (nodestore.ChatLease, error) {
	return call(ctx, p, "take over", func() (nodestore.ChatLease, error) {
		return p.Deliveries.TakeOverChat(ctx, seen, owner, ttl)
	})
}

func (p *process) RenewChat(ctx context.Context, l nodestore.ChatLease, ttl time.Duration) error {
	return p.do(ctx, "renew", func() error { return p.Deliveries.RenewChat(ctx, l, ttl) })
}

func (p *process) ReleaseChat(ctx context.Context, l nodestore.ChatLease) error {
	return p.do(ctx, "release", func() error { return p.Deliveries.ReleaseChat(ctx, l) })
}

func (p *process) ChatLeases(ctx context.Context) ([]nodestore.ChatLease, error) {
	return call(ctx, p, "leases", func() ([]nodestore.ChatLease, error) { return p.Deliveries.ChatLeases(ctx) })
}

func (p *process) RetireChat(ctx context.Context, seen nodestore.ChatLease) error {
	return p.do(ctx, "retire", func() error { return p.Deliveries.RetireChat(ctx, seen) })
}

func (p *process) Flow(ctx context.Context, partition int) (nodestore.Flow, error) {
	return call(ctx, p, "flow", func() (nodestore.Flow, error) { return p.Deliveries.Flow(ctx, partition) })
}

func (p *process) Collect(ctx context.Context, l nodestore.ChatLease, limit int, choose nodestore.Chooser) (int, error) {
	return call(ctx, p, "collect", func() (int, error) { return p.Deliveries.Collect(ctx, l, limit, choose) })
}

func (p *process) Silences(ctx context.Context, now time.Time) ([]nodestore.Silence, error) {
	return call(ctx, p, "silences", func() ([]nodestore.Silence, error) { return p.Deliveries.Silences(ctx, now) })
}

func (p *process) Held(ctx context.Context, l nodestore.ChatLease, held, after string, last, since node.Stamp, limit int) ([]nodestore.Held, error) {
	return call(ctx, p, "held", func() ([]nodestore.Held, error) {
		return p.Deliveries.Held(ctx, l, held, after, last, since, limit)
	})
}

func (p *process) Hold(ctx context.Context, l nodestore.ChatLease, held string, covered func(nodeID, meta string) bool) error {
	return p.do(ctx, "hold", func() error { return p.Deliveries.Hold(ctx, l, held, covered) })
}

func (p *process) Free(ctx context.Context, l nodestore.ChatLease, rs []nodestore.Release) error {
	return p.do(ctx, "free", func() error { return p.Deliveries.Free(ctx, l, rs) })
}

func (p *process) Burdens(ctx context.Context, l nodestore.ChatLease, within time.Duration) ([]nodestore.Burden, error) {
	return call(ctx, p, "burdens", func() ([]nodestore.Burden, error) { return p.Deliveries.Burdens(ctx, l, within) })
}

func (p *process) Digest(ctx context.Context, l nodestore.ChatLease, reasons, first int) (nodestore.Digest, error) {
	return call(ctx, p, "digest", func() (nodestore.Digest, error) { return p.Deliveries.Digest(ctx, l, reasons, first) })
}

func (p *process) EachFailing(ctx context.Context, l nodestore.ChatLease, began node.Stamp, visit func(nodestore.Failing) error) error {
	return p.do(ctx, "failing", func() error { return p.Deliveries.EachFailing(ctx, l, began, visit) })
}

func (p *process) Summed(ctx context.Context, l nodestore.ChatLease, day string) (bool, error) {
	return call(ctx, p, "summed", func() (bool, error) { return p.Deliveries.Summed(ctx, l, day) })
}

func (p *process) EachNode(ctx context.Context, visit func(node.Node) error) error {
	return p.do(ctx, "nodes", func() error { return p.Deliveries.EachNode(ctx, visit) })
}

func (p *process) EachEvent(ctx context.Context, since time.Time, visit func(nodestore.StoredEvent) error) error {
	return p.do(ctx, "events", func() error { return p.Deliveries.EachEvent(ctx, since, visit) })
}

func (p *process) LostSince(ctx context.Context, since node.Stamp) (lost, all int, err error) {
	err = p.do(ctx, "lost", func() (err error) {
		lost, all, err = p.Deliveries.LostSince(ctx, since)
		return err
	})
	return lost, all, err
}

func (p *process) MoveChat(ctx context.Context, l nodestore.ChatLease, to string) error {
	return p.do(ctx, "move", func() error { return p.Deliveries.MoveChat(ctx, l, to) })
}

func (p *process) Frozen(ctx context.Context, l nodestore.ChatLease) (*nodestore.Notification, error) {
	return call(ctx, p, "frozen", func() (*nodestore.Notification, error) { return p.Deliveries.Frozen(ctx, l) })
}

func (p *process) Waiting(ctx context.Context, l nodestore.ChatLease, limit int) ([]nodestore.Alert, error) {
	return call(ctx, p, "waiting", func() ([]nodestore.Alert, error) { return p.Deliveries.Waiting(ctx, l, limit) })
}

func (p *process) Freeze(ctx context.Context, l nodestore.ChatLease, d nodestore.Draft) (nodestore.Notification, error) {
	return call(ctx, p, "freeze", func() (nodestore.Notification, error) {
		return p.Deliveries.Freeze(ctx, l, d)
	})
}

func (p *process) Thaw(ctx context.Context, l nodestore.ChatLease, notification int64) error {
	return p.do(ctx, "thaw", func() error { return p.Deliveries.Thaw(ctx, l, notification) })
}

func (p *process) Told(ctx context.Context, l nodestore.ChatLease, notification, messageID int64) error {
	return p.do(ctx, "told", func() error { return p.Deliveries.Told(ctx, l, notification, messageID) })
}

func (p *process) Failed(ctx context.Context, l nodestore.ChatLease, notification int64, reason string) error {
	return p.do(ctx, "failed", func() error { return p.Deliveries.Failed(ctx, l, notification, reason) })
}

// sender is Telegram as the process reaches it.
func (p *process) sender(s Sender) Sender {
	return senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
		return call(ctx, p, "send", func() (int64, error) { return s.Send(ctx, chat, html, reply) })
	})
}

// caller is the watchdog as the process reaches it.
func (p *process) caller(c Caller) Caller {
	return callerFunc(func(ctx context.Context) error {
		return p.do(ctx, "deadman", func() error { return c.Call(ctx) })
	})
}
