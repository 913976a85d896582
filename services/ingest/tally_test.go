package ingest

import (
	"maps"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// Batches tell what was answered since the last one that was stored; people are told of all.
func TestAnswersAreCountedInBothWays(t *testing.T) {
	var counts tally
	var told contract.Batch
	for round := range 3 {
		counts.accept()
		counts.accept()
		counts.refuse(401)
		var b contract.Batch
		counts.moveTo(&b)
		if round == 1 {
			counts.putBack(b) // it was not stored
			continue
		}
		told.Accepted += b.Accepted
		told.Refused = map[string]int{"401": told.Refused["401"] + b.Refused["401"]}
	}
	all := counts.answered()
	if told.Accepted != 6 || told.Refused["401"] != 3 || all.Accepted != 6 || !maps.Equal(all.Refused, map[string]int64{"401": 3}) {
		t.Errorf("batches told %+v, people are told %+v", told, all)
	}
}
