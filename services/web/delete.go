package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// deleteNode answers 200 once the node is gone, and 202 when the evaluator has not come to it within commandLimit:
// it will, since the command is in the stream.
func (s *Service) deleteNode(w http.ResponseWriter, r *http.Request) {
	if s.AdminToken == "" {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	if !same(bearer(r), s.AdminToken) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		detail(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	// The path is decoded once here; chi's own parameter is sometimes decoded and sometimes not.
	id := strings.TrimPrefix(r.URL.Path, nodesPath+"/")
	known, err := s.known(r.Context(), id)
	switch {
	case err != nil:
		unavailable(w, "the database does not answer")
	case !known:
		detail(w, http.StatusNotFound, "no such node")
	default:
		s.command(w, r, contract.Command{V: contract.Version, Kind: contract.CommandDelete, NodeID: id, By: "web"})
	}
}

// known asks the store itself: what viewers see may be a second old.
func (s *Service) known(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	nodes, err := s.Store.Nodes(ctx, nodestore.NodeQuery{Search: id})
	if err != nil {
		s.note(fmt.Errorf("look for a node: %w", err))
		return false, err
	}
	return slices.ContainsFunc(nodes, func(n node.Node) bool { return n.ID == id }), nil
}

// command puts a command into the stream and waits until it is folded.
func (s *Service) command(w http.ResponseWriter, r *http.Request, c contract.Command) {
	if s.Commands == nil {
		unavailable(w, "commands cannot be taken now")
		return
	}
	data, err := json.Marshal(c)
	if err != nil {
		detail(w, http.StatusBadRequest, "the command cannot be encoded")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishLimit)
	defer cancel()
	crashpoint.Here("web.command")
	seq, err := s.Commands.Publish(ctx, contract.CommandSubject(s.Partition), data)
	if err != nil {
		s.Log.Warn().Err(err).Str("kind", string(c.Kind)).Str("node_id", c.NodeID).Msg("a command was not taken")
		unavailable(w, "NATS does not answer: whether the command was taken is unknown; it may be repeated")
		return
	}
	crashpoint.Here("web.commanded")
	s.Log.Info().Str("kind", string(c.Kind)).Str("node_id", c.NodeID).Uint64("seq", seq).Msg("command")
	done := s.await(r.Context(), seq)
	s.forget()
	if !done {
		answer(w, http.StatusAccepted, okAnswer{OK: true, Detail: "accepted; not carried out yet"})
		return
	}
	answer(w, http.StatusOK, okAnswer{OK: true})
}

type okAnswer struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
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
