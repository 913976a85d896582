package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// TokenSource is the copy of agents' tokens that web keeps.
type TokenSource interface {
	// Follow calls each with every entry of the bucket, then whole, and then each with every change, until ctx ends; it
	// returns an error when it cannot go on, and has to be called anew.
	Follow(ctx context.Context, bucket string, each func(bus.Entry), whole func()) error
}

// followAgain is how long it takes to follow anew after it ended.
const followAgain = 500 * time.Millisecond

// hash is the SHA-256 of a token.
type hash [sha256.Size]byte

// tokens are those that web made, as ingest knows them. What is known is kept while it is read anew, so that a NATS that
// is away, or lost all, keeps no agent out.
type tokens struct {
	source TokenSource
	log    zerolog.Logger

	mu    sync.RWMutex
	nodes map[hash]string // the node of each token, "" for any; nil until all are known
}

func newTokens(source TokenSource, log zerolog.Logger) *tokens {
	return &tokens{source: source, log: log}
}

// find returns what a token is good for.
func (t *tokens) find(h hash) (grant, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	node, known := t.nodes[h]
	switch {
	case known && node == "":
		return anyNode, ""
	case known:
		return oneNode, node
	case t.nodes == nil:
		return unsure, ""
	}
	return stranger, ""
}

// count is how many tokens are known, -1 before all are.
func (t *tokens) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.nodes == nil {
		return -1
	}
	return len(t.nodes)
}

// run follows the source until ctx ends.
func (t *tokens) run(ctx context.Context) {
	var said string
	for ctx.Err() == nil {
		r := reading{tokens: t, nodes: make(map[hash]string)}
		err := t.source.Follow(ctx, contract.TokensBucket, r.each, r.end)
		if err != nil && err.Error() != said {
			said = err.Error()
			t.log.Warn().Err(err).Int("known", max(t.count(), 0)).Msg("agents' tokens cannot be read; those that are known go on")
		}
		if r.current {
			said = ""
		}
		select {
		case <-ctx.Done():
		case <-time.After(followAgain):
		}
	}
}

// reading is one reading of the source, from its beginning. It takes the place of the one before when it is complete:
// all that there is was read, and web says that this is all.
type reading struct {
	tokens          *tokens
	nodes           map[hash]string
	whole, complete bool
	current         bool // it took the place
}

func (r *reading) each(e bus.Entry) {
	if e.Key == contract.TokensComplete {
		r.complete = !e.Removed
		r.take()
		return
	}
	h, node, err := token(e)
	if err != nil {
		r.tokens.log.Warn().Err(err).Str("key", e.Key).Msg("an entry of the tokens is none: it lets nobody in")
	}
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	if e.Removed || err != nil {
		delete(r.nodes, h)
		return
	}
	r.nodes[h] = node
}

func (r *reading) end() {
	r.whole = true
	r.take()
}

func (r *reading) take() {
	if r.current || !r.whole || !r.complete {
		return
	}
	r.current = true
	r.tokens.mu.Lock()
	r.tokens.nodes = r.nodes
	n := len(r.nodes)
	r.tokens.mu.Unlock()
	r.tokens.log.Info().Int("tokens", n).Msg("agents' tokens are known")
}

// token reads an entry. The hash is that of the key also when the rest cannot be read.
func token(e bus.Entry) (h hash, node string, err error) {
	raw, err := hex.DecodeString(e.Key)
	if err != nil || len(raw) != len(h) {
		return h, "", errors.New("the key is no hash")
	}
	h = hash(raw)
	if e.Removed {
		return h, "", nil
	}
	x, err := contract.DecodeToken(e.Value)
	if err != nil {
		return h, "", fmt.Errorf("token: %w", err)
	}
	return h, x.NodeID, nil
}

// watch shows as figures how many tokens are known.
func (t *tokens) watch(r prometheus.Registerer) {
	register(r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gensyn_ingest_tokens", Help: "Tokens of agents that are known; -1 until all are.",
	}, func() float64 { return float64(t.count()) }))
}
