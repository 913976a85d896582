package workload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer"
	"github.com/gensyn-monitor/gensyn-monitor/agent/peer/peertest"
	"github.com/gensyn-monitor/gensyn-monitor/agent/workload"
)

// named wants a node with an id and a name, and what is told of the lists of names.
func (r *rig) named(id, name, saw string, ok bool) {
	r.Helper()
	n := r.one()
	if n.Workload.PeerID != id || n.Workload.PeerName != name {
		r.Errorf("%s = %q, want %s = %q", n.Workload.PeerID, n.Workload.PeerName, id, name)
	}
	for _, s := range n.Seen {
		if s.What == "names" {
			if s.OK != ok || s.Not || !strings.Contains(s.Saw, saw) {
				r.Errorf("%+v, want %q", s, saw)
			}
			return
		}
	}
	r.Errorf("nothing of names: %+v", n.Seen)
}

// keyed is a working node with a key, and the id of its peer.
func keyed(t *testing.T) (r *rig, dir, id string) {
	r, dir = working(t)
	return r, dir, r.key(dir)
}

// key gives a node a new key.
func (r *rig) key(dir string) string {
	r.Helper()
	key := r.identity()
	r.write(filepath.Join(dir, "swarm.pem"), key)
	id, err := peer.ID([]byte(key))
	if err != nil {
		r.Fatal(err)
	}
	return id
}

const fromLog = "; the name of the peer comes from its log"

// TestNamesOfTheCheckout: the lists are found where each release has them, and in a place that only looks like one.
func TestNamesOfTheCheckout(t *testing.T) {
	for _, place := range []string{
		"hivemind_exp/name_utils.py", "rgym_exp/src/utils/name_utils.py", "code_gen_exp/src/utils/name_utils.py", "next_exp/src/utils/name_utils.py",
	} {
		r, dir, id := keyed(t)
		r.write(filepath.Join(dir, "README.md"), "no directory")
		r.named(id, "", "no name_utils.py in "+dir+fromLog, true)
		r.write(filepath.Join(dir, place), peertest.Source(peertest.Lists()))
		r.named(id, peertest.Name(id), "words of "+filepath.Join(dir, place), true)
		// Another key is another peer; without lists it has no name, least of all that of the one before.
		if id = r.key(dir); r.one().Workload.PeerName != peertest.Name(id) {
			t.Errorf("%s: another key: %+v", place, r.one().Workload)
		}
		if err := os.Remove(filepath.Join(dir, place)); err != nil {
			t.Fatal(err)
		}
		r.named(id, peertest.Name(id), "no name_utils.py", true)
		r.named(r.key(dir), "", "no name_utils.py", true)
	}
}

// TestNamesOfTheLog: what the log says of the same peer is what the network shows.
func TestNamesOfTheLog(t *testing.T) {
	r, dir, id := keyed(t)
	r.write(filepath.Join(dir, "hivemind_exp"), "no directory")
	r.named(id, "", "no name_utils.py", true)
	r.log(dir, "Hello 🐈 [timid tall spider] 🦮 ["+id+"]!")
	r.named(id, "timid tall spider", "no name_utils.py", true)
	r.write(filepath.Join(dir, "rgym_exp/src/utils/name_utils.py"), peertest.Source(peertest.Lists()))
	r.named(id, "timid tall spider", "words of", true)
	r.restart()
	r.named(id, "timid tall spider", "words of", true)
	// Of another peer it says nothing.
	id = r.key(dir)
	r.named(id, peertest.Name(id), "words of", true)
}

// TestBrokenNames are said, do not hide a good file elsewhere, and do not count against the node.
func TestBrokenNames(t *testing.T) {
	r, dir, id := keyed(t)
	bad := filepath.Join(dir, "code_gen_exp/src/utils/name_utils.py")
	r.write(bad, "ADJECTIVES = ['a]b']\nANIMALS = ['c']\n")
	r.named(id, "", bad+": ADJECTIVES: word 1: it holds something else than letters"+fromLog, false)
	r.want(workload.Training, "UP", "training", "")
	r.write(filepath.Join(dir, "hivemind_exp"), "no directory")
	r.write(filepath.Join(dir, "x_exp/src/utils/name_utils.py"), peertest.Source(peertest.Lists()))
	r.named(id, peertest.Name(id), "words of "+filepath.Join(dir, "x_exp"), true)
}

// TestManyDirectories: an unknown place is looked for among a bounded number of them, a known one is always found.
func TestManyDirectories(t *testing.T) {
	r, dir, id := keyed(t)
	for i := range 300 {
		r.write(filepath.Join(dir, fmt.Sprintf("%03d/src/utils/name_utils.py", i)), "")
	}
	// The good one of 300: some are found, and some are not looked at.
	found, missed := 0, 0
	for i := 0; i < 300 && (found == 0 || missed == 0); i++ {
		path := filepath.Join(dir, fmt.Sprintf("%03d/src/utils/name_utils.py", i))
		r.write(path, peertest.Source(peertest.Lists()))
		if slices.Contains(r.one().Seen, workload.Sight{What: "names", Saw: "words of " + path, OK: true}) {
			found++
		} else {
			missed++
		}
		r.write(path, "")
	}
	if found == 0 || missed == 0 {
		t.Errorf("%d were found, %d not", found, missed)
	}
	r.write(filepath.Join(dir, "hivemind_exp/name_utils.py"), peertest.Source(peertest.Lists()))
	r.named(id, peertest.Name(id), "words of", true)
}
