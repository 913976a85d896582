package evaluator

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// sampler stores what agents measure, one sample for each node in each slot, for charts. Nothing is decided by samples,
// so they are stored beside the commits: nothing waits for them, and what cannot be stored in time is dropped.
type sampler struct {
	queue   chan []node.Heard // that were heard in a slot of which they have no sample yet
	waiting *atomic.Int64     // how many that are
}

func newSampler() sampler {
	return sampler{queue: make(chan []node.Heard, 64), waiting: new(atomic.Int64)}
}

// maxSamples may wait: some 300 bytes each.
const maxSamples = 60_000

// hand reports whether there was room.
func (s *sampler) hand(some []node.Heard) bool {
	if s.waiting.Load()+int64(len(some)) > maxSamples {
		return false
	}
	select {
	case s.queue <- some:
		s.waiting.Add(int64(len(some)))
		return true
	default:
		return false
	}
}

// firstInSlot chooses from the changes of a commit. A node is taken at its first heartbeat in a slot, whatever slot that is
// when the clock that stamps stepped back, and at the first one that the fold folds of it: what the evaluator before did
// not store in time is stored then.
func firstInSlot(c node.Changes) (some []node.Heard) {
	add := func(h node.Heard) {
		if h.Before == 0 || nodestore.SampleSlot(h.ID, h.Heard) != nodestore.SampleSlot(h.ID, h.Before) {
			some = append(some, h)
		}
	}
	for _, h := range c.Heard {
		add(h)
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		add(node.Heard{ID: n.ID, Heard: n.Heard, Metrics: n.Metrics, Workload: n.Workload, Before: c.Before[n.ID]})
	}
	return some
}

// sample hands over what was committed.
func (o *owner) sample(c node.Changes) {
	if o.SamplesDays <= 0 {
		return
	}
	if some := firstInSlot(c); len(some) > 0 && !o.samples.hand(some) {
		o.metrics.samplesDropped.Add(float64(len(some)))
	}
}

// samplesAtOnce are stored in one transaction: in SQLite a commit has to wait meanwhile.
const samplesAtOnce = 500

// storeSamples stores what is handed over, until ctx ends. It waits in between, so that not every commit is followed by
// a second transaction; but not where a commit brings as many as one takes, or they would fill the memory. Whoever folds
// next takes all nodes anew: what was not stored by then is stored late.
func (o *owner) storeSamples(ctx context.Context) {
	for {
		var some []node.Heard
		select {
		case some = <-o.samples.queue:
			o.addSamples(ctx, some)
		case <-ctx.Done():
			return
		}
		if len(some) >= samplesAtOnce {
			continue
		}
		if !sleep(ctx, o.Pace.Samples) {
			return
		}
		var waiting []node.Heard
		for range len(o.samples.queue) {
			waiting = append(waiting, <-o.samples.queue...)
		}
		o.addSamples(ctx, waiting)
	}
}

func (o *owner) addSamples(ctx context.Context, of []node.Heard) {
	for some := range slices.Chunk(of, samplesAtOnce) {
		samples := samplesOf(some)
		o.samples.waiting.Add(-int64(len(some)))
		if len(samples) == 0 {
			continue
		}
		call, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
		err := o.Store.AddSamples(call, samples)
		cancel()
		if err != nil {
			o.metrics.samplesDropped.Add(float64(len(samples)))
			continue
		}
		o.metrics.samples.Add(float64(len(samples)))
	}
}

func samplesOf(heard []node.Heard) (samples []nodestore.Sample) {
	for i := range heard {
		if s, ok := sampleOf(&heard[i]); ok {
			samples = append(samples, s)
		}
	}
	return samples
}

// sampleOf reads what a node's agent sent. What is not of the shape that agents of this project send is left out. It is
// false when there is nothing to keep.
func sampleOf(n *node.Heard) (s nodestore.Sample, ok bool) {
	m, w := decoded[contract.Metrics](n.Metrics), decoded[contract.Workload](n.Workload)
	s = nodestore.Sample{NodeID: n.ID, At: n.Heard, Memory: share(m.MemUsedBytes, m.MemTotalBytes)}
	if w.Round > 0 {
		s.Round = &w.Round
	}
	if m.CPUPercent != nil {
		s.CPU = new(percent(*m.CPUPercent))
	}
	for _, d := range []*contract.Disk{m.Disk, w.Disk} {
		if d != nil && d.TotalBytes > 0 {
			s.Disk = share(d.TotalBytes-d.FreeBytes, d.TotalBytes)
		}
	}
	sampleGPUs(&s, m.GPUs)
	return s, s != nodestore.Sample{NodeID: n.ID, At: n.Heard}
}

func decoded[T any](text string) (v T) {
	if json.Unmarshal([]byte(text), &v) != nil {
		return *new(T) // a field that could not be read may be set to nothing, which is not the same as unknown
	}
	return v
}

// sampleGPUs sums up all that are told of.
func sampleGPUs(s *nodestore.Sample, gpus []contract.GPU) {
	var use, told float64
	var used, total int64
	for _, g := range gpus {
		if g.UsePercent != nil {
			use, told = use+percent(*g.UsePercent), told+1
		}
		if g.MemUsedBytes != nil && g.MemTotalBytes != nil {
			used, total = used+*g.MemUsedBytes, total+*g.MemTotalBytes
		}
		if t := g.TempCelsius; t != nil && (s.GPUTemp == nil || *t > *s.GPUTemp) {
			s.GPUTemp = t
		}
	}
	if told > 0 {
		s.GPUUse = new(use / told)
	}
	s.GPUMemory = share(used, total)
}

// share is a part of a whole in percent, nil when there is no whole.
func share(part, whole int64) *float64 {
	if whole <= 0 {
		return nil
	}
	return new(percent(100 * float64(part) / float64(whole)))
}

func percent(v float64) float64 { return min(max(v, 0), 100) }
