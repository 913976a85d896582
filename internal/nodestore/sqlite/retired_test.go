package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
)

func TestARetiredChatReturns(t *testing.T) {
	c := &clock{now: time.Unix(1_000_000, 0)}
	path := filepath.Join(t.TempDir(), "monitor.db")
	nodestoretest.Returns(t, func(t *testing.T) nodestore.Store { return newStore(t, path, c.Now) }, c.pass)
}
