package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
)

// lateStore is a store that may not be there yet: until it is, every call answers ErrUnavailable at once.
type lateStore struct {
	open  func(ctx context.Context) (nodestore.Store, error)
	late  nodestore.Late
	store atomic.Pointer[nodestore.Store]
}

var _ web.Store = (*lateStore)(nil)

// run opens the store, however long that takes, and closes it when ctx ends.
func (l *lateStore) run(ctx context.Context, log zerolog.Logger) error {
	store, err := program.Await(ctx, log, "the database", nodestore.Passing, l.late.Open(l.open))
	if err != nil {
		return err
	}
	l.store.Store(&store)
	<-ctx.Done()
	l.store.Store(nil)
	if err := store.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

func (l *lateStore) get() (nodestore.Store, error) {
	if s := l.store.Load(); s != nil {
		return *s, nil
	}
	return nil, fmt.Errorf("%w: not connected yet: %w", nodestore.ErrUnavailable, l.late.Why(context.Background()))
}

// Nodes implements nodestore.Reader.
func (l *lateStore) Nodes(ctx context.Context, q nodestore.NodeQuery) ([]node.Node, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Nodes(ctx, q)
}

// Events implements nodestore.Reader.
func (l *lateStore) Events(ctx context.Context, nodeID string, limit int) ([]nodestore.StoredEvent, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Events(ctx, nodeID, limit)
}

// Annotations implements nodestore.Reader.
func (l *lateStore) Annotations(ctx context.Context, nodeID string, limit int) ([]node.Annotation, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Annotations(ctx, nodeID, limit)
}

// Tellings implements nodestore.Reader.
func (l *lateStore) Tellings(ctx context.Context, nodeID string, limit int) ([]nodestore.ToldAlert, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Tellings(ctx, nodeID, limit)
}

// Status implements nodestore.Reader.
func (l *lateStore) Status(ctx context.Context, partition int) (nodestore.Status, error) {
	r, err := l.get()
	if err != nil {
		return nodestore.Status{}, err
	}
	return r.Status(ctx, partition)
}

// Transitions implements nodestore.History.
func (l *lateStore) Transitions(ctx context.Context, nodeIDs []string, since node.Stamp) (map[string][]node.Event, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Transitions(ctx, nodeIDs, since)
}

// BlindSpans implements nodestore.History.
func (l *lateStore) BlindSpans(ctx context.Context, since node.Stamp) ([]node.Span, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.BlindSpans(ctx, since)
}

// Incidents implements nodestore.History.
func (l *lateStore) Incidents(ctx context.Context, q nodestore.IncidentQuery) ([]nodestore.Incident, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Incidents(ctx, q)
}

// Samples implements nodestore.History.
func (l *lateStore) Samples(ctx context.Context, nodeID string, since node.Stamp) ([]nodestore.Sample, error) {
	r, err := l.get()
	if err != nil {
		return nil, err
	}
	return r.Samples(ctx, nodeID, since)
}

// Ping implements nodestore.Reader.
func (l *lateStore) Ping(ctx context.Context) error {
	r, err := l.get()
	if err != nil {
		return err
	}
	return r.Ping(ctx)
}
