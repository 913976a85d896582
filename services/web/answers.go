package web

import (
	"bytes"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip" // half the processor time of the standard library's, and smaller

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

const (
	// worthKeeping is from how many nodes on an answer is kept for others.
	worthKeeping = 100
	// maxAnswers bounds how many are kept of one read: clients choose what to look for, so there is no end to it.
	maxAnswers = 8
)

// answers are compressed answers of one read of the nodes, so that a thousand programs that ask for the same cost one
// encoding. The zero value is ready for use.
type answers struct {
	mu   sync.Mutex
	made map[string]func() []byte
}

// get returns the answer for the key, made by the first who asks while others wait.
func (a *answers) get(key string, pack func() []byte) []byte {
	a.mu.Lock()
	made, ok := a.made[key]
	if !ok {
		made = sync.OnceValue(pack)
		if len(a.made) < maxAnswers {
			if a.made == nil {
				a.made = make(map[string]func() []byte)
			}
			a.made[key] = made
		}
	}
	a.mu.Unlock()
	return made()
}

// packNodes is the compressed answer to GET /api/nodes.
func packNodes(nodes []*node.Node, at time.Time, clock node.Clock) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is one there is
	_ = writeNodes(z, nodes, at, clock)             // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// acceptsGzip reports whether the client says so.
func acceptsGzip(r *http.Request) bool {
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, parameter, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, weight, given := strings.Cut(parameter, "=")
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		return !given || err == nil && q > 0
	}
	return false
}

// keySum is a short name of a key. Another program may answer the same key differently.
func keySum(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(telemetry.Version() + " " + key)) // it takes everything
	return h.Sum64()
}
