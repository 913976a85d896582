package postgres

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/nodestoretest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

// The clock of the server really steps.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartWithClock(t)
	nodestoretest.RunClock(t, "Postgres", func(t *testing.T) nodestoretest.Clocked {
		url := server.NewDatabase(t)
		return nodestoretest.Clocked{
			Open: func(t *testing.T) nodestore.Store { return newStore(t, url) },
			Set: func(t *testing.T, offset time.Duration) {
				t.Helper()
				if err := server.SetClock(offset); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
