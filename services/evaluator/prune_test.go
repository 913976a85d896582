package evaluator

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// pruned notes what is asked to be deleted.
type pruned struct {
	nodestore.Writer
	events, samples []time.Duration // the ages asked for
	left            int             // events and samples, each, that can be deleted
	err             error
}

func (p *pruned) Prune(_ context.Context, _ nodestore.Lease, age time.Duration, limit int) (int, error) {
	p.events = append(p.events, age)
	return p.take(len(p.events), limit), p.err
}

func (p *pruned) PruneSamples(_ context.Context, age time.Duration, limit int) (int, error) {
	p.samples = append(p.samples, age)
	return p.take(len(p.samples), limit), p.err
}

func (p *pruned) take(call, limit int) int { return min(limit, max(0, p.left-(call-1)*limit)) }

// What is older than it is to be kept is deleted until nothing is left; without a time events are kept, and samples not.
func TestWhatIsOldIsPruned(t *testing.T) {
	const day = 24 * time.Hour
	for name, tc := range map[string]struct {
		history, samples  int
		left              int
		err               error
		wantEvents, wants []time.Duration
	}{
		"both":                      {400, 7, 10, nil, []time.Duration{400 * day}, []time.Duration{7 * day}},
		"no samples":                {400, 0, 10, nil, []time.Duration{400 * day}, []time.Duration{0}},
		"all events":                {0, 7, 10, nil, nil, []time.Duration{7 * day}},
		"until nothing is left":     {1, 2, 2500, nil, []time.Duration{day, day, day}, []time.Duration{2 * day, 2 * day, 2 * day}},
		"not again after a failure": {1, 2, 2500, errors.New("no"), []time.Duration{day}, []time.Duration{2 * day}},
	} {
		store := &pruned{left: tc.left, err: tc.err}
		s, err := New(Options{Store: store, Settings: node.Settings{Threshold: time.Minute, MaxNodes: 1}, HistoryDays: tc.history, SamplesDays: tc.samples, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		(&owner{Service: s}).pruneAll(t.Context())
		if !reflect.DeepEqual(store.events, tc.wantEvents) || !reflect.DeepEqual(store.samples, tc.wants) {
			t.Errorf("%s: events %v, samples %v, want %v and %v", name, store.events, store.samples, tc.wantEvents, tc.wants)
		}
	}
}
