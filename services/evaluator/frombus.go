package evaluator

import (
	"context"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// FromBus is the real stream.
func FromBus(b *bus.Bus) Stream { return busStream{b} }

type busStream struct{ *bus.Bus }

// Consume implements Stream.
func (s busStream) Consume(ctx context.Context, partition int, start bus.Start) (Reader, error) {
	r, err := s.Bus.Consume(ctx, partition, start)
	if err != nil {
		return nil, err
	}
	return r, nil
}
