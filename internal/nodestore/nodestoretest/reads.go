package nodestoretest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var readChecks = []check{
	{"nodes are selected", selectNodes},
	{"nodes can be read page by page", pages},
	{"what changed can be asked for", changedSince},
	{"events come newest first", eventsOrder},
	{"an empty database has a status", emptyStatus},
	{"the status counts nodes", statusCounts},
	{"the database answers", func(t *testing.T, d *database) { must(t, d.Ping(t.Context())) }},
}

func selectNodes(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commit(t, node.Changes{Nodes: []node.Node{
		{ID: "B-upper", State: node.Up}, {ID: "a-lower", State: node.Down, Reason: "port_closed_3000"},
		{ID: "percent%", State: node.Lost, Meta: `C:\gensyn`}, {ID: "z", State: node.Up, Name: "Knoten Überall"},
		{ID: "é", State: node.Degraded, IP: "2001:DB8::1"}, {ID: "Z", State: node.Up, Name: "Узел"},
		{ID: "💥", State: node.Lost, Name: "İzmir", Evidence: "not searched"},
	}})
	for name, tc := range map[string]struct {
		query nodestore.NodeQuery
		want  string // ids, bytewise ordered
	}{
		"all":                     {nodestore.NodeQuery{}, "B-upper Z a-lower percent% z é 💥"},
		"one state":               {nodestore.NodeQuery{States: []node.State{node.Lost}}, "percent% 💥"},
		"two states":              {nodestore.NodeQuery{States: []node.State{node.Degraded, node.Down}}, "a-lower é"},
		"an unknown state":        {nodestore.NodeQuery{States: []node.State{"?"}}, ""},
		"by id, in any case":      {nodestore.NodeQuery{Search: "b-UP"}, "B-upper"},
		"by name":                 {nodestore.NodeQuery{Search: "knoten"}, "z"},
		"by name, not ASCII":      {nodestore.NodeQuery{Search: "üBERALL"}, "z"},
		"by name, Cyrillic":       {nodestore.NodeQuery{Search: "уЗЕЛ"}, "Z"},
		"by name, a dotted I":     {nodestore.NodeQuery{Search: "İZMİR"}, "💥"},
		"by address":              {nodestore.NodeQuery{Search: "db8:"}, "é"},
		"by meta, a backslash":    {nodestore.NodeQuery{Search: `c:\g`}, "percent%"},
		"no address, for all":     {nodestore.NodeQuery{Search: "db8:", NoAddresses: true}, ""},
		"no meta, for all":        {nodestore.NodeQuery{Search: `c:\g`, NoAddresses: true}, ""},
		"by name, for all":        {nodestore.NodeQuery{Search: "knoten", NoAddresses: true}, "z"},
		"not ASCII, for all":      {nodestore.NodeQuery{Search: "üBERALL", NoAddresses: true}, "z"},
		"by reason":               {nodestore.NodeQuery{Search: "PORT_CLOSED"}, "a-lower"},
		"percent is itself":       {nodestore.NodeQuery{Search: "%"}, "percent%"},
		"underscore is itself":    {nodestore.NodeQuery{Search: "_"}, "a-lower"},
		"no wildcard":             {nodestore.NodeQuery{Search: "a%r"}, ""},
		"not in evidence":         {nodestore.NodeQuery{Search: "searched"}, ""},
		"after":                   {nodestore.NodeQuery{After: "a-lower"}, "percent% z é 💥"},
		"after one that is not":   {nodestore.NodeQuery{After: "b"}, "percent% z é 💥"},
		"after the last":          {nodestore.NodeQuery{After: "💥"}, ""},
		"one id":                  {nodestore.NodeQuery{ID: "z"}, "z"},
		"no such id":              {nodestore.NodeQuery{ID: "percent"}, ""},
		"one id, state and after": {nodestore.NodeQuery{ID: "z", States: []node.State{node.Up}, After: "a"}, "z"},
		"limit":                   {nodestore.NodeQuery{Limit: 2}, "B-upper Z"},
		"limit beyond":            {nodestore.NodeQuery{Limit: 99}, "B-upper Z a-lower percent% z é 💥"},
		"search, state and limit": {nodestore.NodeQuery{Search: "z", States: []node.State{node.Up}, Limit: 1}, "Z"},
		"search, after and limit": {nodestore.NodeQuery{Search: "e", After: "a", Limit: 2}, "a-lower percent%"},
	} {
		nodes, err := d.Nodes(t.Context(), tc.query)
		must(t, err)
		if got := ids(nodes); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func ids(nodes []node.Node) string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, n.ID)
	}
	return strings.Join(out, " ")
}

func changedSince(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commit(t, node.Changes{Nodes: []node.Node{{ID: "a", State: node.Up}, {ID: "b", State: node.Up}, {ID: "c", State: node.Up}}})
	first := o.at.Seq
	o.commit(t, node.Changes{Nodes: []node.Node{{ID: "b", State: node.Down}, {ID: "d", State: node.Up}}})
	second := o.at.Seq
	o.commit(t, node.Changes{Nodes: []node.Node{{ID: "d", State: node.Lost}}, Removed: []string{"a"}})
	for since, want := range map[uint64]string{0: "b c d", first: "b d", second: "d", o.at.Seq: ""} {
		nodes, err := d.Nodes(t.Context(), nodestore.NodeQuery{ChangedSince: since})
		must(t, err)
		if got := ids(nodes); got != want {
			t.Errorf("changed since %d: %q, want %q", since, got, want)
		}
	}
}

func pages(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	var c node.Changes
	for i := range 25 {
		c.Nodes = append(c.Nodes, node.Node{ID: fmt.Sprintf("n%02d", i), State: node.Up})
	}
	o.commit(t, c)
	var got []node.Node
	for q := (nodestore.NodeQuery{Limit: 10}); len(got) <= len(c.Nodes); q.After = got[len(got)-1].ID {
		page, err := d.Nodes(t.Context(), q)
		must(t, err)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	diff(t, "all pages", got, c.Nodes)
}

func eventsOrder(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	var want []string
	commit := func(events ...node.Event) {
		for i := range events {
			events[i] = o.event(i, events[i])
			want = append([]string{events[i].ID.String()}, want...)
		}
		o.commit(t, node.Changes{Events: events})
	}
	for range 6 { // sequences of one and of two digits, ordinals likewise
		commit(make([]node.Event, 11)...)
	}
	o.at.Seq = 0 // another stream: the position begins again, and the order does not
	to := node.Position{Epoch: o.at.Epoch + 1}
	must(t, d.Commit(t.Context(), o.Lease, node.Position{Epoch: o.at.Epoch, Seq: 6}, node.Changes{Clock: node.Clock{Position: to}}))
	o.at = to
	commit(node.Event{Kind: node.Blind}, change("n", node.Up, node.Lost))
	commit(change("other", node.Up, node.Lost), change("n", node.Lost, node.Up))

	events, err := d.Events(t.Context(), "", 1000)
	must(t, err)
	diff(t, "all", eventIDs(events), want)
	events, err = d.Events(t.Context(), "", 3)
	must(t, err)
	diff(t, "limited", eventIDs(events), want[:3])
	events, err = d.Events(t.Context(), "n", 10)
	must(t, err)
	diff(t, "of a node", eventIDs(events), []string{want[0], want[2]})
	events, err = d.Events(t.Context(), "unknown", 10)
	if must(t, err); len(events) != 0 {
		t.Errorf("an unknown node has events %v", eventIDs(events))
	}
}

func eventIDs(events []nodestore.StoredEvent) (out []string) {
	for _, e := range events {
		out = append(out, e.ID.String())
	}
	return out
}

func emptyStatus(t *testing.T, d *database) {
	s, err := d.Status(t.Context(), 0)
	must(t, err)
	if s.Term != 0 || s.Owner != "" || len(s.Counts) != 0 || len(s.Chats) != 0 || s.CommittedAge != 0 {
		t.Errorf("status %+v, want nothing", s)
	}
}

func statusCounts(t *testing.T, d *database) {
	o := acquire(t, d, "the owner")
	var c node.Changes
	for i, state := range []node.State{node.Up, node.Up, node.Down, node.Lost, node.Degraded, node.Up} {
		c.Nodes = append(c.Nodes, node.Node{ID: fmt.Sprint(i), State: state})
	}
	o.commit(t, c)
	s, err := d.Status(t.Context(), 0)
	must(t, err)
	if s.Term != o.Term || s.Owner != "the owner" || s.Clock.Position != o.at || s.CommittedAge < 0 || s.CommittedAge > time.Minute {
		t.Errorf("status %+v, want term %d of the owner at %+v just now", s, o.Term, o.at)
	}
	diff(t, "counts", s.Counts, map[node.State]int{node.Up: 3, node.Down: 1, node.Lost: 1, node.Degraded: 1})
	o.clock.Counts = map[node.State]int{node.Up: 7} // as the fold says, which counted already
	o.commit(t, node.Changes{})
	counted, err := d.Status(t.Context(), 0)
	must(t, err)
	diff(t, "counts of the fold", counted.Counts, o.clock.Counts)
	s.CommittedAge = counted.CommittedAge
	pass(t, d, s.CommittedAge) // the age grows
	o.commit(t, node.Changes{})
	later, err := d.Status(t.Context(), 0)
	if must(t, err); later.CommittedAge > 10*time.Second {
		t.Errorf("the age is %v just after a commit", later.CommittedAge)
	}
}
