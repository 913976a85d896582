package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// load reads the memories of an earlier run.
func (w *Watcher) load() error {
	if w.StateFile == "" {
		return nil
	}
	data, err := os.ReadFile(w.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	// A file that makes no sense is as good as none: the agent begins anew.
	if nodes, ok := decodeState(data); ok {
		w.nodes, w.saved = nodes, data
	}
	return nil
}

func decodeState(data []byte) ([]*Memory, bool) {
	var nodes []*Memory
	if json.Unmarshal(data, &nodes) != nil {
		return nil, false
	}
	return slices.DeleteFunc(nodes, func(m *Memory) bool { return m == nil || m.Name == "" }), true
}

// reconcile drops the nodes that another process has forgotten: what a person types goes to an agent of its own.
func (w *Watcher) reconcile() {
	if w.StateFile == "" || w.saved == nil {
		return
	}
	data, err := os.ReadFile(w.StateFile)
	if err != nil || bytes.Equal(data, w.saved) {
		return
	}
	if kept, ok := decodeState(data); ok {
		w.nodes = slices.DeleteFunc(w.nodes, func(m *Memory) bool {
			return !slices.ContainsFunc(kept, func(k *Memory) bool { return k.Name == m.Name })
		})
		w.saved = data
	}
}

// save writes the memories when they have changed, in one step: a crash leaves the old file or the new one.
func (w *Watcher) save() error {
	if w.StateFile == "" || len(w.nodes) == 0 && w.saved == nil {
		return nil
	}
	data, err := json.Marshal(w.nodes)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if bytes.Equal(data, w.saved) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(w.StateFile), filepath.Base(w.StateFile)+".*")
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), w.StateFile)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("save state: %w", err)
	}
	w.saved = data
	return nil
}
