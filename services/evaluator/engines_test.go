package evaluator_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// forEachEngine runs a test on an empty store of each engine.
func forEachEngine(t *testing.T, test func(t *testing.T, open func(t *testing.T) nodestore.Store)) {
	t.Helper()
	engines := map[string]func(t *testing.T) (nodestore.Store, error){
		"sqlite": func(t *testing.T) (nodestore.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "monitor.db"), time.Now)
		},
		"postgres": func(t *testing.T) (nodestore.Store, error) {
			return postgres.Open(t.Context(), postgrestest.Shared(t).NewDatabase(t), postgres.Options{})
		},
	}
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			test(t, func(t *testing.T) nodestore.Store {
				t.Helper()
				s, err := engine(t)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			})
		})
	}
}
