package bot

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// faulty is a store that fails, or has the program killed, at chosen calls.
type faulty struct {
	Store
	mu   sync.Mutex
	fail func(call string, done bool) error
	next int64
	end  <-chan struct{} // of the test: what is dead stays so until then
}

// errDead stands for a call that is never answered.
var errDead = errors.New("dead")

func (f *faulty) set(fail func(call string, done bool) error, end <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.end = fail, end
}

func (f *faulty) at(call string, done bool) error {
	f.mu.Lock()
	var err error
	if f.fail != nil {
		err = f.fail(call, done)
	}
	end := f.end
	f.mu.Unlock()
	if errors.Is(err, errDead) {
		<-end
	}
	return err
}

func (f *faulty) Silences(ctx context.Context, now time.Time) ([]nodestore.Silence, error) {
	if err := f.at("Silences", false); err != nil {
		return nil, err
	}
	return f.Store.Silences(ctx, now)
}

func (f *faulty) AddSilence(ctx context.Context, s nodestore.Silence) (nodestore.Silence, error) {
	if err := f.at("AddSilence", false); err != nil {
		return s, err
	}
	s, err := f.Store.AddSilence(ctx, s)
	return s, errors.Join(err, f.at("AddSilence", true))
}

func (f *faulty) RenewPoller(ctx context.Context, l nodestore.PollerLease, next int64) error {
	call := "RenewPoller"
	f.mu.Lock()
	if next > f.next {
		call, f.next = "handled", next
	}
	f.mu.Unlock()
	if err := f.at(call, false); err != nil {
		return err
	}
	return errors.Join(f.Store.RenewPoller(ctx, l, next), f.at(call, true))
}
