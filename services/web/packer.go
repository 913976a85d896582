package web

import (
	"bytes"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/rowgzip"
)

// packUnused is for how long a packer keeps rows that nobody asks for: about half a kilobyte for each node.
const packUnused = 2 * time.Minute

// packer makes the compressed answer to GET /api/nodes of all nodes. What each comes to is kept from one answer to the
// next: of ten thousand nodes a few hundred report between two reads of the data, and of all others the ages alone are
// different. The zero value is ready for use.
type packer struct {
	viewer Viewer // what of a node is shown

	mu       sync.Mutex
	encoder  *rowgzip.Encoder
	nodes    []*node.Node // of which the rows were made
	rows     []*rowgzip.Row
	spare    []*rowgzip.Row // rows of the answer before, to be written over
	settings node.Settings
	size     int       // of the last answer
	used     time.Time // when it was made

	before, behind []byte // a row under way
}

// packer is the one for a viewer.
func (s *Service) packer(v Viewer) *packer {
	if v.Addresses {
		return &s.packers[1]
	}
	return &s.packers[0]
}

// pack returns the answer of a snapshot.
func (p *packer) pack(snap *snapshot, now time.Time) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.encoder == nil {
		p.encoder = new(rowgzip.Encoder)
	}
	clock := &snap.status.Clock
	same := p.settings == clock.Settings // thresholds stand in the rows
	oldNodes, oldRows, rows := p.nodes, p.rows, p.spare[:0]
	for i, n := range snap.nodes {
		for len(oldNodes) > 0 && oldNodes[0] != n && oldNodes[0].ID < n.ID {
			oldNodes, oldRows = oldNodes[1:], oldRows[1:]
		}
		var row *rowgzip.Row
		switch {
		case len(oldNodes) == 0 || oldNodes[0].ID != n.ID:
			row = p.row(n, i == 0, clock, nil)
		// Who else uses a node's id is forgotten as time goes by; and another node may be the first.
		case oldNodes[0] == n && same && n.Senders == "" && (i == 0) == (len(oldRows) == len(p.rows)):
			row = oldRows[0]
		default:
			row = p.row(n, i == 0, clock, oldRows[0])
		}
		row.Number = int64(age(n, snap.at) / time.Second)
		rows = append(rows, row)
	}
	clear(p.rows)
	p.nodes, p.rows, p.spare, p.settings, p.used = snap.nodes, rows, p.rows, clock.Settings, now
	out := p.encoder.Append(make([]byte, 0, p.size+p.size/16), rows, endOfNodes)
	p.size = len(out)
	return out
}

// row makes a node's row, or returns the one before when it says the same.
func (p *packer) row(n *node.Node, first bool, clock *node.Clock, old *rowgzip.Row) *rowgzip.Row {
	n = p.viewer.show(n)
	p.before = appendBeforeAge(appendRowBegin(p.before[:0], first), n)
	p.behind = appendBehindAge(p.behind[:0], n, clock)
	if old != nil {
		if before, behind := old.Text(); bytes.Equal(before, p.before) && bytes.Equal(behind, p.behind) {
			return old
		}
	}
	return p.encoder.Row(p.before, p.behind)
}

// forgetUnused frees what was kept when nobody has asked for long.
func (p *packer) forgetUnused(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.used).Abs() > packUnused {
		p.encoder, p.nodes, p.rows, p.spare = nil, nil, nil, nil
	}
}
