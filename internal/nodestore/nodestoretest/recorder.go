package nodestoretest

import (
	"context"
	"slices"
	"sync"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/standardsql"
)

// Recorder is an engine that keeps what it was asked, so that a test can look how the database goes about it.
type Recorder struct {
	standardsql.Engine
	mu   sync.Mutex
	asks []Ask
}

// Ask is one query.
type Ask struct {
	Query string
	Args  []any
}

// Asked returns what was asked by Query since the last call.
func (r *Recorder) Asked() []Ask {
	r.mu.Lock()
	defer r.mu.Unlock()
	asks := r.asks
	r.asks = nil
	return asks
}

// Read implements standardsql.Engine.
func (r *Recorder) Read(ctx context.Context, do func(standardsql.Tx) error) error {
	return r.Engine.Read(ctx, func(tx standardsql.Tx) error { return do(recording{tx, r}) })
}

type recording struct {
	standardsql.Tx
	r *Recorder
}

func (t recording) Query(ctx context.Context, query string, args ...any) (standardsql.Rows, error) {
	t.r.mu.Lock()
	t.r.asks = append(t.r.asks, Ask{query, slices.Clone(args)})
	t.r.mu.Unlock()
	return t.Tx.Query(ctx, query, args...)
}
