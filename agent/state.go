package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// maxPending is how many annotations wait to be delivered at most: the last ones.
const maxPending = 100

// State is what must survive a restart of the agent: the ids of nodes, what was not delivered, and the runs of
// ON_DOWN_CMD. It is used by one goroutine at a time.
type State struct {
	file  string // "" for none: all is in memory alone
	kept  kept
	dirty bool
}

// kept is the file's content.
type kept struct {
	Base    string                   `json:"base,omitempty"`    // NODE_ID, that IDs were made from
	IDs     map[string]string        `json:"ids,omitempty"`     // of nodes, by the names that the profile gives
	Last    map[string]string        `json:"last,omitempty"`    // the last status of a node that was delivered or is pending
	Pending []pending                `json:"pending,omitempty"` // in order
	Runs    map[string]ondown.Memory `json:"runs,omitempty"`    // by node
}

// pending is an annotation that waits to be delivered.
type pending struct {
	NodeID string `json:"node_id"`
	contract.Annotation
	beat int // in which it was found, 0 for one of an earlier process
}

// stateFile is the file in the directory for the state.
const stateFile = "agent.json"

// OpenState reads the state kept in a directory, which is made when missing; "" keeps nothing. With an error the state
// works, and is empty: a file that cannot be read is put aside.
func OpenState(dir string) (*State, error) {
	s := &State{kept: kept{IDs: map[string]string{}, Last: map[string]string{}, Runs: map[string]ondown.Memory{}}}
	if dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, fmt.Errorf("make the directory for the state: %w", err)
	}
	s.file = filepath.Join(dir, stateFile)
	data, err := os.ReadFile(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return s, fmt.Errorf("read the state: %w", err)
	}
	k := s.kept
	if err := json.Unmarshal(data, &k); err != nil {
		aside := s.file + ".bad"
		return s, fmt.Errorf("%s cannot be read and is put aside as %s: %w", s.file, aside,
			errors.Join(err, os.Rename(s.file, aside)))
	}
	s.kept = k
	return s, nil
}

// Save writes what changed, so that a crash leaves the old file or the new one.
func (s *State) Save() error {
	if !s.dirty || s.file == "" {
		return nil
	}
	data, err := json.Marshal(s.kept)
	if err == nil {
		err = replaceFile(s.file, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}
	s.dirty = false
	return nil
}

// replaceFile puts data in the place of a file, all of it or none.
func replaceFile(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing after the rename
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	// So that the rename is on the disk, too. Best effort: not every system can.
	if dir, err := os.Open(filepath.Dir(name)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// change notes that the state is not as it was read.
func (s *State) change() { s.dirty = true }

// identify gives every name its node id: the first node ever found has the base as its id, all others the base and
// their name, and each keeps its id as long as the profile reports it. Names that are not reported are forgotten.
func (s *State) identify(base string, names []string) map[string]string {
	if s.kept.Base != base {
		s.kept.Base = base
		clear(s.kept.IDs)
		s.change()
	}
	for name := range s.kept.IDs {
		if !slices.Contains(names, name) {
			delete(s.kept.IDs, name)
			s.change()
		}
	}
	taken := make(map[string]bool)
	for _, id := range s.kept.IDs {
		taken[id] = true
	}
	for _, name := range names {
		if _, ok := s.kept.IDs[name]; ok {
			continue
		}
		id := base
		if taken[base] {
			id = nodeIDOf(base, name, taken)
		}
		taken[id], s.kept.IDs[name] = true, id
		s.change()
	}
	return s.kept.IDs
}

// nodeIDOf makes an id that is not taken of the base and a name.
func nodeIDOf(base, name string, taken map[string]bool) string {
	id := cutRunes(base+"-"+name, contract.MaxNodeIDChars)
	for n := 2; taken[id]; n++ {
		end := "-" + strconv.Itoa(n)
		id = cutRunes(base+"-"+name, contract.MaxNodeIDChars-len(end)) + end
	}
	return id
}

func cutRunes(s string, most int) string {
	runes := []rune(s)
	return string(runes[:min(len(runes), most)])
}

// undelivered takes a heartbeat that was not accepted: a change of status waits to be told later.
func (s *State) undelivered(h contract.Heartbeat, at int64, beat int) {
	if s.kept.Last[h.NodeID] == h.Status {
		return
	}
	s.kept.Last[h.NodeID] = h.Status
	s.add(pending{h.NodeID, contract.Annotation{At: at, Status: h.Status, Reason: h.Reason, Evidence: h.Evidence}, beat})
}

// add keeps an annotation until it is delivered, and no more than maxPending of them.
func (s *State) add(p pending) {
	s.kept.Pending = append(s.kept.Pending, p)
	s.kept.Pending = slices.Delete(s.kept.Pending, 0, max(0, len(s.kept.Pending)-maxPending))
	s.change()
}

// due are the annotations to send with a heartbeat. What was found in this very beat and is as the heartbeat says needs
// no telling: the heartbeat tells it.
func (s *State) due(h contract.Heartbeat, beat int) (out []contract.Annotation) {
	var last pending
	for _, p := range s.kept.Pending {
		if p.NodeID == h.NodeID && len(out) < contract.MaxAnnotations {
			out, last = append(out, p.Annotation), p
		}
	}
	if len(out) == 1 && last.beat == beat && last.Status == h.Status {
		return nil
	}
	return out
}

// delivered takes a heartbeat that was accepted.
func (s *State) delivered(h contract.Heartbeat) {
	if s.kept.Last[h.NodeID] != h.Status {
		s.kept.Last[h.NodeID] = h.Status
		s.change()
	}
	sent := len(h.Annotations)
	before := len(s.kept.Pending)
	dropped := 0
	s.kept.Pending = slices.DeleteFunc(s.kept.Pending, func(p pending) bool {
		if p.NodeID != h.NodeID || dropped >= max(sent, 1) {
			return false
		}
		dropped++
		return true
	})
	if len(s.kept.Pending) != before {
		s.change()
	}
}

// runs and keepRuns are the memory of ON_DOWN_CMD.
func (s *State) runs(nodeID string) ondown.Memory { return s.kept.Runs[nodeID] }

func (s *State) keepRuns(nodeID string, m ondown.Memory) {
	s.kept.Runs[nodeID] = m
	s.change()
}
