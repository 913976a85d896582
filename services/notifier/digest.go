package notifier

import (
	"cmp"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// How much a digest names.
const (
	digestReasons = 6
	digestNames   = 10
)

// digest counts entries as the store counts what it does not hand out.
func digest(alerts []nodestore.Alert, entries []Entry) nodestore.Digest {
	d := nodestore.Digest{Alerts: len(alerts), Last: alerts[len(alerts)-1].Event.ID, Entries: len(entries)}
	d.Oldest, d.From, d.To = alerts[0].Found, alerts[0].At, alerts[0].At
	for _, a := range alerts {
		d.From, d.To = min(d.From, a.At), max(d.To, a.At)
		if a.Found.Before(d.Oldest) {
			d.Oldest = a.Found
		}
	}
	for _, e := range entries {
		d.Counts = count(d.Counts, nodestore.DigestCount{Kind: e.Kind, To: e.To, Back: e.Back})
		if e.NodeID == "" {
			d.Monitor = append(d.Monitor, e.Alert)
		}
		if !e.failing() {
			continue
		}
		if e.Reason != "" {
			d.Reasons = count(d.Reasons, nodestore.DigestCount{Kind: e.Kind, To: e.To, Reason: e.Reason})
		}
		if len(d.First) < digestNames {
			d.First = append(d.First, e.Alert)
		}
	}
	slices.SortStableFunc(d.Reasons, func(a, b nodestore.DigestCount) int { return cmp.Compare(b.Entries, a.Entries) })
	d.Reasons = d.Reasons[:min(len(d.Reasons), digestReasons)]
	return d
}

func count(counts []nodestore.DigestCount, of nodestore.DigestCount) []nodestore.DigestCount {
	for i := range counts {
		if c := &counts[i]; c.Kind == of.Kind && c.To == of.To && c.Reason == of.Reason && c.Back == of.Back {
			c.Entries++
			return counts
		}
	}
	of.Entries = 1
	return append(counts, of)
}

// inFailure is how many of the entries leave their nodes in failure.
func inFailure(counts []nodestore.DigestCount) (n int) {
	for _, c := range counts {
		if failure(c.Kind, c.To) {
			n += c.Entries
		}
	}
	return n
}

// newlyLost is how many of the entries are nodes that were lost.
func newlyLost(counts []nodestore.DigestCount) (n int) {
	for _, c := range counts {
		if c.Kind == node.Changed && c.To == node.Lost {
			n += c.Entries
		}
	}
	return n
}
