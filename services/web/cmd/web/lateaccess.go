package main

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// with calls do with the store, if it is there.
func with[T any](l *lateStore, do func(nodestore.Store) (T, error)) (T, error) {
	store, err := l.get()
	if err != nil {
		var none T
		return none, err
	}
	return do(store)
}

// tell is with for calls that only fail or not.
func (l *lateStore) tell(do func(nodestore.Store) error) error {
	store, err := l.get()
	if err != nil {
		return err
	}
	return do(store)
}

// Silences implements nodestore.Quieting.
func (l *lateStore) Silences(ctx context.Context, now time.Time) ([]nodestore.Silence, error) {
	return with(l, func(s nodestore.Store) ([]nodestore.Silence, error) { return s.Silences(ctx, now) })
}

// AddSilence implements nodestore.Quieting.
func (l *lateStore) AddSilence(ctx context.Context, x nodestore.Silence) (nodestore.Silence, error) {
	return with(l, func(s nodestore.Store) (nodestore.Silence, error) { return s.AddSilence(ctx, x) })
}

// EndSilence implements nodestore.Quieting.
func (l *lateStore) EndSilence(ctx context.Context, id int64, by string) error {
	return l.tell(func(s nodestore.Store) error { return s.EndSilence(ctx, id, by) })
}

// Acknowledge implements nodestore.Quieting.
func (l *lateStore) Acknowledge(ctx context.Context, nodeID string, incident node.Stamp, by string) (nodestore.Acknowledgement, error) {
	return with(l, func(s nodestore.Store) (nodestore.Acknowledgement, error) {
		return s.Acknowledge(ctx, nodeID, incident, by)
	})
}

// Acknowledgements implements nodestore.Quieting.
func (l *lateStore) Acknowledgements(ctx context.Context, nodeIDs []string) (map[string]nodestore.Acknowledgement, error) {
	return with(l, func(s nodestore.Store) (map[string]nodestore.Acknowledgement, error) {
		return s.Acknowledgements(ctx, nodeIDs)
	})
}

// Notification implements nodestore.Quieting.
func (l *lateStore) Notification(ctx context.Context, id int64) (nodestore.Notification, error) {
	return with(l, func(s nodestore.Store) (nodestore.Notification, error) { return s.Notification(ctx, id) })
}

// AddSession implements nodestore.Access.
func (l *lateStore) AddSession(ctx context.Context, x nodestore.Session) error {
	return l.tell(func(s nodestore.Store) error { return s.AddSession(ctx, x) })
}

// Session implements nodestore.Access.
func (l *lateStore) Session(ctx context.Context, hash string, now time.Time) (nodestore.Session, error) {
	return with(l, func(s nodestore.Store) (nodestore.Session, error) { return s.Session(ctx, hash, now) })
}

// SeeSession implements nodestore.Access.
func (l *lateStore) SeeSession(ctx context.Context, hash string, seen, until time.Time) error {
	return l.tell(func(s nodestore.Store) error { return s.SeeSession(ctx, hash, seen, until) })
}

// EndSession implements nodestore.Access.
func (l *lateStore) EndSession(ctx context.Context, hash string) error {
	return l.tell(func(s nodestore.Store) error { return s.EndSession(ctx, hash) })
}

// AddToken implements nodestore.Access.
func (l *lateStore) AddToken(ctx context.Context, t nodestore.Token) (nodestore.Token, error) {
	return with(l, func(s nodestore.Store) (nodestore.Token, error) { return s.AddToken(ctx, t) })
}

// RevokeToken implements nodestore.Access.
func (l *lateStore) RevokeToken(ctx context.Context, id int64, by string) (nodestore.Token, error) {
	return with(l, func(s nodestore.Store) (nodestore.Token, error) { return s.RevokeToken(ctx, id, by) })
}

// Tokens implements nodestore.Access.
func (l *lateStore) Tokens(ctx context.Context) ([]nodestore.Token, error) {
	return with(l, func(s nodestore.Store) ([]nodestore.Token, error) { return s.Tokens(ctx) })
}

// SetNote implements nodestore.Access.
func (l *lateStore) SetNote(ctx context.Context, n nodestore.Note) error {
	return l.tell(func(s nodestore.Store) error { return s.SetNote(ctx, n) })
}

// Notes implements nodestore.Access.
func (l *lateStore) Notes(ctx context.Context, nodeIDs []string) (map[string]nodestore.Note, error) {
	return with(l, func(s nodestore.Store) (map[string]nodestore.Note, error) { return s.Notes(ctx, nodeIDs) })
}

// BeginAction implements nodestore.Access.
func (l *lateStore) BeginAction(ctx context.Context, a nodestore.Action) (int64, error) {
	return with(l, func(s nodestore.Store) (int64, error) { return s.BeginAction(ctx, a) })
}

// EndAction implements nodestore.Access.
func (l *lateStore) EndAction(ctx context.Context, id int64, outcome string) error {
	return l.tell(func(s nodestore.Store) error { return s.EndAction(ctx, id, outcome) })
}

// Actions implements nodestore.Access.
func (l *lateStore) Actions(ctx context.Context, q nodestore.ActionQuery) ([]nodestore.Action, error) {
	return with(l, func(s nodestore.Store) ([]nodestore.Action, error) { return s.Actions(ctx, q) })
}

// PruneAccess implements nodestore.Access.
func (l *lateStore) PruneAccess(ctx context.Context, now time.Time, age time.Duration) error {
	return l.tell(func(s nodestore.Store) error { return s.PruneAccess(ctx, now, age) })
}
