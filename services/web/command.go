package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	publishLimit = 2 * time.Second
	commandLimit = 2 * time.Second // for the committed position to reach a command
	commandPoll  = 100 * time.Millisecond
)

// find asks the store itself for a node, or nil: what viewers see may be a second old.
func (s *Service) find(ctx context.Context, id string) (*node.Node, error) {
	if id == "" {
		return nil, nil // an empty ID would select all
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	nodes, err := s.Store.Nodes(ctx, nodestore.NodeQuery{ID: id})
	if err != nil {
		s.note(fmt.Errorf("look for a node: %w", err))
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, nil
	}
	return &nodes[0], nil
}

// command puts a command into the stream and waits until it is folded: then it is done. When the evaluator has not come
// to it within commandLimit it is accepted: it will be, since the command is in the stream.
func (s *Service) command(ctx context.Context, c contract.Command) result {
	if s.Commands == nil {
		return result{status: http.StatusServiceUnavailable, detail: "commands cannot be taken now"}
	}
	c.V = contract.Version
	data, err := json.Marshal(c)
	if err != nil {
		return badRequest("the command cannot be encoded")
	}
	pctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	crashpoint.Here("web.command")
	seq, err := s.Commands.Publish(pctx, contract.CommandSubject(s.Partition), data)
	if err != nil {
		s.Log.Warn().Err(err).Str("kind", string(c.Kind)).Str("node_id", c.NodeID).Msg("a command was not taken")
		return result{
			status: http.StatusServiceUnavailable,
			detail: "NATS does not answer: whether the command was taken is unknown; it may be repeated",
		}
	}
	crashpoint.Here("web.commanded")
	s.Log.Info().Str("kind", string(c.Kind)).Str("node_id", c.NodeID).Uint64("seq", seq).Msg("command")
	reached := s.await(ctx, seq)
	s.forget()
	if !reached {
		return result{status: http.StatusAccepted, detail: "accepted; not carried out yet"}
	}
	return carriedOut
}

// await reports whether the committed position reached seq within commandLimit.
func (s *Service) await(ctx context.Context, seq uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	tick := time.NewTicker(commandPoll)
	defer tick.Stop()
	for {
		status, err := s.Store.Status(ctx, s.Partition)
		if err == nil && status.Clock.Position.Seq >= seq {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func unavailable(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "2")
	detail(w, http.StatusServiceUnavailable, text)
}
