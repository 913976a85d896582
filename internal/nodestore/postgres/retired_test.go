package postgres

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

func TestARetiredChatReturns(t *testing.T) {
	url := postgrestest.Shared(t).NewDatabase(t)
	nodestoretest.Returns(t, func(t *testing.T) nodestore.Store { return newStore(t, url) }, func(d time.Duration) {
		c := connect(t, url)
		for _, q := range []string{
			`UPDATE events SET found = found - $1`,
			`UPDATE chats SET retired_at = retired_at - $1 WHERE retired_at <> 0`,
		} {
			if _, err := c.Exec(t.Context(), q, int64(d)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
