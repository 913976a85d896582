package evaluator

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// The log speaks when trouble begins, becomes another, and ends; trouble ends when no call fails any more.
func TestTroubleIsSaidOnceForEachChange(t *testing.T) {
	var troubles troubles
	now := time.Unix(1000, 0)
	for i, c := range []struct {
		call string
		kind nodestore.Trouble
		want news
	}{
		{callLease, nodestore.None, news{}},
		{callCommit, nodestore.DiskFull, news{kind: nodestore.DiskFull}},
		{callCommit, nodestore.DiskFull, news{}},
		{callLease, nodestore.None, news{}}, // a renewal works while commits fail: the trouble is not over
		{callCommit, nodestore.DiskFull, news{}},
		{callLease, nodestore.Unreachable, news{kind: nodestore.Unreachable}},
		{callCommit, nodestore.DiskFull, news{}},    // two calls that fail each in its own way
		{callLease, nodestore.Unreachable, news{}},  // are not told by turns
		{callCommit, nodestore.Unreachable, news{}}, // said already
		{callCommit, nodestore.None, news{}},
		{callLease, nodestore.None, news{over: true, lasted: 9 * time.Second}},
		{callLease, nodestore.None, news{}},
		{callLease, nodestore.Slow, news{kind: nodestore.Slow}},
		{callLease, nodestore.None, news{over: true, lasted: time.Second}},
	} {
		if got := troubles.note(c.call, c.kind, now); got != c.want {
			t.Errorf("step %d, %s %q: %+v, want %+v", i, c.call, c.kind, got, c.want)
		}
		now = now.Add(time.Second)
	}
}
