package node_test

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// imports folds one import command.
func (s *script) imports(d time.Duration, nodes ...node.Imported) *script {
	return s.command(d, node.Command{By: "import", Import: nodes})
}

func (s *script) node(id string) node.Node {
	s.t.Helper()
	for _, n := range s.stored.Nodes {
		if n.ID == id {
			return n
		}
	}
	s.t.Fatalf("there is no %s", id)
	return node.Node{}
}

func TestImportedNodesAreNotTold(t *testing.T) {
	s := newScript(t).alive(time.Hour, "x").clear()
	now := s.stamp
	long := now - node.Stamp(20*24*time.Hour)
	s.imports(time.Second,
		node.Imported{NodeID: "a", IP: "192.0.2.1", Meta: "rack", State: node.Up, Heard: now - node.Stamp(time.Hour)},
		node.Imported{NodeID: "b", State: node.Lost, Heard: long},
		node.Imported{NodeID: "c", State: node.Down, Meta: "reason=no_p2pd", Heard: now},
		node.Imported{NodeID: "d", State: "later", Heard: now + node.Stamp(time.Hour)},
		node.Imported{},
	).want("joined a >up quiet", "joined b >lost silent quiet", "joined c >down no_p2pd quiet", "joined d >up quiet")
	if n := s.node("a"); n.IP != "192.0.2.1" || n.Meta != "rack" || n.Heard != now-node.Stamp(time.Hour) || n.Joined != n.Heard || n.Since != s.stamp {
		t.Errorf("a is %+v", n)
	}
	if n := s.node("b"); n.Incident != long || n.Since != long {
		t.Errorf("b is %+v, want it lost since it was heard last", n)
	}
	if n := s.node("d"); n.Heard != s.stamp {
		t.Errorf("d was heard at %v, after the import at %v", n.Heard.Time(), s.stamp.Time())
	}
	// Those that report go on, and only news is told.
	s.send(time.Second, node.Heartbeat{NodeID: "a"}, node.Heartbeat{NodeID: "b"}, node.Heartbeat{NodeID: "c", Status: "DOWN", Reason: "no_p2pd"})
	e := s.events[0]
	s.want("changed b lost>up")
	if e.Lasted < 20*24*time.Hour {
		t.Errorf("b was lost for %v, want 20 days", e.Lasted)
	}
}

func TestImportedNodesHaveAFullThreshold(t *testing.T) {
	s := newScript(t).alive(time.Hour, "x").clear()
	s.imports(0, node.Imported{NodeID: "a", State: node.Up, Heard: s.stamp - node.Stamp(2*time.Hour)}).clear()
	s.alive(threshold, "x").want()
	s.message(1, node.Message{}).want("changed a up>lost silent")
}

// TestImportIsIdempotent: it may be sent again, and changes nothing of what is known here.
func TestImportIsIdempotent(t *testing.T) {
	s := newScript(t).beat(0, "known", "deleted").command(0, node.Command{NodeID: "deleted", Delete: true}).clear()
	all := []node.Imported{{NodeID: "known", State: node.Lost}, {NodeID: "deleted", State: node.Up}, {NodeID: "new", State: node.Up}}
	s.imports(time.Second, all...).want("joined new >up quiet")
	s.imports(time.Second, all...).want()
	s.imports(time.Second).want()
	// Beyond MaxNodes nothing is stored.
	s.command(0, node.Command{Settings: &node.Settings{Threshold: threshold, MaxNodes: 2}})
	s.imports(time.Second, node.Imported{NodeID: "one more", State: node.Up}).want()
}

// TestImportIntoADeafMonitor: the clock goes back when the first agent is heard, and what was imported meanwhile has a
// full threshold from there, but no more.
func TestImportIntoADeafMonitor(t *testing.T) {
	s := newScript(t).pulse(time.Hour)
	s.imports(0, node.Imported{NodeID: "a", State: node.Up}, node.Imported{NodeID: "b", State: node.Up}, node.Imported{NodeID: "c", State: node.Up}).clear()
	s.pulse(threshold).want()
	s.message(1, node.Message{}).want("deaf >", "changed a up>lost deaf quiet", "changed b up>lost deaf quiet", "changed c up>lost deaf quiet")
	s.beat(time.Second, "a").want("hearing >", "changed a lost>up quiet")
	s.alive(threshold, "a").want()
	s.message(1, node.Message{}).want("changed b lost>lost silent", "changed c lost>lost silent")
}
