package evaluator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// The calls of the store that trouble is told apart by: one may work while another fails.
const (
	callLease  = "lease"
	callLoad   = "load"
	callCommit = "commit"
	callRecord = "record"
	callOther  = "other" // counted, and tried again too late to say when the trouble ended
)

// database is the store as an evaluator uses it: every call is noted.
type database struct {
	nodestore.Writer
	note func(call string, err error)
}

// Acquire implements nodestore.Writer.
func (d database) Acquire(ctx context.Context, p int, owner string, ttl time.Duration, s node.Settings) (nodestore.Lease, error) {
	l, err := d.Writer.Acquire(ctx, p, owner, ttl, s)
	d.note(callLease, err)
	return l, err
}

// Renew implements nodestore.Writer.
func (d database) Renew(ctx context.Context, l nodestore.Lease, ttl time.Duration) error {
	err := d.Writer.Renew(ctx, l, ttl)
	d.note(callLease, err)
	return err
}

// Release implements nodestore.Writer.
func (d database) Release(ctx context.Context, l nodestore.Lease) error {
	err := d.Writer.Release(ctx, l)
	d.note(callOther, err)
	return err
}

// Load implements nodestore.Writer.
func (d database) Load(ctx context.Context, l nodestore.Lease, add func(*node.Node)) (node.Snapshot, error) {
	s, err := d.Writer.Load(ctx, l, add)
	d.note(callLoad, err)
	return s, err
}

// Commit implements nodestore.Writer.
func (d database) Commit(ctx context.Context, l nodestore.Lease, from node.Position, c node.Changes) error {
	err := d.Writer.Commit(ctx, l, from, c)
	d.note(callCommit, err)
	return err
}

// Record implements nodestore.Writer.
func (d database) Record(ctx context.Context, l nodestore.Lease, e node.Event) (bool, error) {
	added, err := d.Writer.Record(ctx, l, e)
	d.note(callRecord, err)
	return added, err
}

// Committed implements nodestore.Writer. That the position can be read does not show that it can be written.
func (d database) Committed(ctx context.Context, partition int) (int64, node.Position, error) {
	term, p, err := d.Writer.Committed(ctx, partition)
	if err != nil {
		d.note(callCommit, err)
	}
	return term, p, err
}

// Prune implements nodestore.Writer.
func (d database) Prune(ctx context.Context, l nodestore.Lease, age time.Duration, limit int) (int, error) {
	n, err := d.Writer.Prune(ctx, l, age, limit)
	d.note(callOther, err)
	return n, err
}

// AddSamples implements nodestore.Writer.
func (d database) AddSamples(ctx context.Context, samples []nodestore.Sample) error {
	err := d.Writer.AddSamples(ctx, samples)
	d.note(callOther, err)
	return err
}

// AddTraces implements nodestore.Writer.
func (d database) AddTraces(ctx context.Context, traces []nodestore.EventTrace) error {
	err := d.Writer.AddTraces(ctx, traces)
	d.note(callOther, err)
	return err
}

// PruneSamples implements nodestore.Writer.
func (d database) PruneSamples(ctx context.Context, age time.Duration, limit int) (int, error) {
	n, err := d.Writer.PruneSamples(ctx, age, limit)
	d.note(callOther, err)
	return n, err
}

// noteDatabase counts what failed, and says when trouble begins, becomes another, and ends.
func (s *Service) noteDatabase(call string, err error) {
	kind := nodestore.TroubleOf(err)
	if kind == nodestore.None && errors.Is(err, context.Canceled) {
		return // it was called off: nobody knows
	}
	if kind != nodestore.None {
		s.metrics.databaseErrors.WithLabelValues(string(kind)).Inc()
	}
	if call == callOther {
		return
	}
	s.sayDatabase(s.trouble.note(call, kind, s.Now()), err)
}

// databaseWorks notes that the calls work, although none of them returned without an error.
func (s *Service) databaseWorks(calls ...string) {
	for _, call := range calls {
		s.sayDatabase(s.trouble.note(call, nodestore.None, s.Now()), nil)
	}
}

func (s *Service) sayDatabase(n news, err error) {
	switch {
	case n.over:
		s.health.set(partDatabase, nil)
		s.Log.Info().Dur("lasted", n.lasted).Msg("database: works again")
	case n.kind != nodestore.None:
		s.health.set(partDatabase, nodestore.Explained{Err: err})
		s.Log.Error().Err(err).Str("kind", string(n.kind)).Str("help", n.kind.Help()).
			Msg("the database " + n.kind.Says() + "; heartbeats are kept in NATS meanwhile, and folded afterwards")
	}
}

// troubles follows the trouble of each call. Calls are told apart, since those that read may go on while those that
// write fail: then the trouble is not over.
type troubles struct {
	mu      sync.Mutex
	failing map[string]nodestore.Trouble // by call
	said    nodestore.Trouble
	since   time.Time
}

// news is what is to be said. The zero value is nothing.
type news struct {
	kind   nodestore.Trouble // began, or became another
	over   bool
	lasted time.Duration
}

// note takes the kind of trouble that a call just had, or None.
func (t *troubles) note(call string, kind nodestore.Trouble, now time.Time) news {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.failing[call]
	switch {
	case kind == nodestore.None:
		delete(t.failing, call)
		if t.said == nodestore.None || len(t.failing) > 0 {
			return news{}
		}
		t.said = nodestore.None
		return news{over: true, lasted: now.Sub(t.since)}
	case t.failing == nil:
		t.failing = make(map[string]nodestore.Trouble)
	}
	t.failing[call] = kind
	if was == kind || t.said == kind {
		return news{}
	}
	if t.said == nodestore.None {
		t.since = now
	}
	t.said = kind
	return news{kind: kind}
}
