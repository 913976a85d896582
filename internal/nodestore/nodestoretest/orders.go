package nodestoretest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var orderChecks = []check{
	{"nodes are read page by page in every order", orderedPages},
	{"a place in an order outlives its node", placeOfTheGone},
	{"a place of another order is refused", placesRefused},
}

// compare is what each order means.
var compare = map[nodestore.Order]func(a, b node.Node) int{
	nodestore.OrderID:      func(node.Node, node.Node) int { return 0 },
	nodestore.OrderWorst:   func(a, b node.Node) int { return cmp.Compare(nodestore.Rank(a.State), nodestore.Rank(b.State)) },
	nodestore.OrderSince:   func(a, b node.Node) int { return cmp.Compare(a.Since, b.Since) },
	nodestore.OrderHeard:   func(a, b node.Node) int { return cmp.Compare(a.Heard, b.Heard) },
	nodestore.OrderJoined:  func(a, b node.Node) int { return cmp.Compare(a.Joined, b.Joined) },
	nodestore.OrderName:    func(a, b node.Node) int { return strings.Compare(a.Name, b.Name) },
	nodestore.OrderAddress: func(a, b node.Node) int { return strings.Compare(a.IP, b.IP) },
}

// manyNodes are nodes with many equal values, of odd names and a state that only a newer program knows.
func manyNodes(n int) (out []node.Node) {
	rng := rand.New(rand.NewPCG(7, 9))
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	for i := range n {
		out = append(out, node.Node{
			ID: fmt.Sprintf("%s%03d", pick("n", "N", "é", "a,b ", "%2C"), i), Name: pick("", "Б", "б", "a", "B", "a,b", "a b+%2C", "ö"),
			IP: pick("10.0.0.1", "9.9.9.9", "2001:db8::1", ""), Meta: pick("rack 1", "rack 2"),
			State: node.State(pick("up", "up", "up", "down", "lost", "degraded", "newer")),
			Since: node.Stamp(rng.IntN(5)), Heard: node.Stamp(rng.IntN(9)), Joined: node.Stamp(-rng.IntN(3)),
		})
	}
	slices.SortFunc(out, func(a, b node.Node) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func orderedPages(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	all := manyNodes(60)
	o.commitNodes(t, all...)
	for order, by := range compare {
		for _, reverse := range []bool{false, true} {
			want := slices.Clone(all)
			slices.SortStableFunc(want, by)
			if reverse {
				slices.Reverse(want)
			}
			for name, q := range map[string]nodestore.NodeQuery{
				"all": {}, "small pages": {Limit: 7}, "one state": {States: []node.State{node.Up}, Limit: 5},
				"states": {States: []node.State{node.Lost, node.Degraded, "newer"}, Limit: 4},
				"search": {Search: "RACK 1", Limit: 6}, "search, not ASCII": {Search: "Б", Limit: 3}, "search, state": {Search: "rack", States: []node.State{node.Down}, Limit: 2},
			} {
				q.Order, q.Reverse = order, reverse
				got := readPages(t, d, q)
				if wanted := ids(selected(want, q)); ids(got) != wanted {
					t.Errorf("%s by %s, reverse %v:\n got %s\nwant %s", name, order, reverse, ids(got), wanted)
				}
			}
		}
	}
}

func readPages(t *testing.T, d *database, q nodestore.NodeQuery) (got []node.Node) {
	t.Helper()
	for {
		page, err := d.Nodes(t.Context(), q)
		must(t, err)
		got = append(got, page...)
		if len(page) == 0 || q.Limit == 0 {
			return got
		}
		if len(page) > q.Limit || len(got) > 1000 {
			t.Fatalf("a page of %d has %d nodes, after %d", q.Limit, len(page), len(got))
		}
		q.After = q.Order.Key(&page[len(page)-1])
	}
}

// selected is a reference for the selection.
func selected(nodes []node.Node, q nodestore.NodeQuery) (out []node.Node) {
	for _, n := range nodes {
		text := strings.ToLower(n.ID + "\n" + n.Name + "\n" + n.IP + "\n" + n.Meta + "\n" + n.Reason)
		if (len(q.States) == 0 || slices.Contains(q.States, n.State)) && strings.Contains(text, strings.ToLower(q.Search)) {
			out = append(out, n)
		}
	}
	return out
}

func placeOfTheGone(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	a, b, c := node.Node{ID: "a", State: node.Down}, node.Node{ID: "b", State: node.Down}, node.Node{ID: "c", State: node.Down}
	o.commitNodes(t, a, b, c)
	q := nodestore.NodeQuery{Order: nodestore.OrderWorst, After: nodestore.OrderWorst.Key(&b)}
	b.State = node.Up
	o.commitNodes(t, b)
	if got := readPages(t, d, q); ids(got) != "c b" {
		t.Errorf("after one that changed: %s, want c b", ids(got))
	}
	o.commit(t, node.Changes{Removed: []string{"b"}})
	if got := readPages(t, d, q); ids(got) != "c" {
		t.Errorf("after one that is gone: %s, want c", ids(got))
	}
}

func placesRefused(t *testing.T, d *database) {
	for order, keys := range map[nodestore.Order][]string{
		nodestore.OrderWorst: {"a", "x,a", "9999999999999999999,a"}, nodestore.OrderSince: {"a", ",a"}, nodestore.OrderName: {"a", "%zz,a"},
		"unknown": {"1,a"},
	} {
		for _, key := range keys {
			_, err := d.Nodes(t.Context(), nodestore.NodeQuery{Order: order, After: key})
			if err == nil || order != "unknown" {
				wantErr(t, fmt.Sprintf("%s after %s", order, key), err, nodestore.ErrAfter)
			}
		}
	}
	if _, err := d.Nodes(t.Context(), nodestore.NodeQuery{Order: "unknown"}); err == nil {
		t.Error("an unknown order is taken")
	}
}
