package bot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// How many nodes an answer names at most, and how many are looked through for a label.
const (
	mostInStatus = 10
	mostListed   = 50
	mostSearched = 1000
)

// partition is the only one of version one.
const partition = 0

// Reads is what commands look at.
type Reads interface {
	Nodes(ctx context.Context, q nodestore.NodeQuery) ([]node.Node, error)
	Status(ctx context.Context, partition int) (nodestore.Status, error)
	Silences(ctx context.Context, now time.Time) ([]nodestore.Silence, error)
	Acknowledgements(ctx context.Context, nodeIDs []string) (map[string]nodestore.Acknowledgement, error)
	Notification(ctx context.Context, id int64) (nodestore.Notification, error)
	ChatLeases(ctx context.Context) ([]nodestore.ChatLease, error)
}

// facts are what a command is decided from.
type facts struct {
	status       nodestore.Status
	nodes        []node.Node // that it is about: the first of them
	exact        bool        // nodes is the very node that was asked for
	silences     []nodestore.Silence
	acknowledged map[string]nodestore.Acknowledgement // of nodes, by id
	notification nodestore.Notification               // that a button is under; the zero value when it is not there
}

// gather reads what a command needs to know, and no more.
func gather(ctx context.Context, r Reads, c command, now time.Time) (f facts, err error) {
	if f.silences, err = r.Silences(ctx, now); err != nil {
		return f, err
	}
	switch c.name {
	case "status":
		f, err = f.failing(ctx, r, mostInStatus)
	case "down":
		f, err = f.failing(ctx, r, mostListed)
	case "node":
		f, err = f.find(ctx, r, c.target, true)
	case "silence":
		f, err = f.find(ctx, r, c.target, strings.Contains(c.target, "="))
	case "acknowledge", "hush":
		f, err = f.told(ctx, r, c.notification)
	}
	if err != nil || len(f.nodes) == 0 {
		return f, err
	}
	ids := make([]string, len(f.nodes))
	for i, n := range f.nodes {
		ids[i] = n.ID
	}
	f.acknowledged, err = r.Acknowledgements(ctx, ids)
	return f, err
}

func (f facts) failing(ctx context.Context, r Reads, most int) (facts, error) {
	var err error
	if f.status, err = r.Status(ctx, partition); err != nil {
		return f, err
	}
	f.nodes, err = r.Nodes(ctx, nodestore.NodeQuery{States: []node.State{node.Down, node.Lost}, Limit: most})
	return f, err
}

// find looks for a node by its id, and else for those that have the text somewhere.
func (f facts) find(ctx context.Context, r Reads, text string, search bool) (facts, error) {
	if text == "" {
		return f, nil
	}
	var err error
	f.nodes, err = r.Nodes(ctx, nodestore.NodeQuery{ID: text})
	f.exact = len(f.nodes) > 0
	if err != nil || f.exact || !search {
		return f, err
	}
	f.nodes, err = r.Nodes(ctx, nodestore.NodeQuery{Search: text, Limit: mostSearched})
	return f, err
}

// told finds the notification that a button is under, and its node.
func (f facts) told(ctx context.Context, r Reads, id int64) (facts, error) {
	n, err := r.Notification(ctx, id)
	switch {
	case isNotFound(err):
		return f, nil
	case err != nil:
		return f, fmt.Errorf("the notification of a button: %w", err)
	case n.NodeID == "":
		return f, nil
	}
	f.notification = n
	return f.find(ctx, r, n.NodeID, false)
}
