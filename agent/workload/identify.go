package workload

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer"
)

// identify finds out which peer the node is: from its key, where that can be read, else its log has said so.
func (w *Watcher) identify(l *look) {
	if l.group.dir == "" {
		l.unseen("directory", fs.ErrPermission)
		return
	}
	var denied error
	for _, name := range w.Profile.Identity {
		path := w.path(l.group, name)
		id, err := peer.ReadID(path)
		if err == nil {
			words := w.words(l)
			l.memory.identify(id, words.Name(id))
			l.see("identity "+path, strings.TrimSuffix(id+" = "+l.memory.PeerName, " = "), true)
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			denied = err
		}
	}
	if denied != nil {
		l.unseen("identity", denied)
	}
}

// identify takes the id that the key has, and the name that the lists give, "" without them. A name that the log told of
// the same peer stays: it is what the network shows.
func (m *Memory) identify(id, name string) {
	if id != m.PeerID {
		m.PeerID, m.PeerName = id, ""
	}
	if name != "" && m.Named != id {
		m.PeerName = name
	}
}

const sightNames = "names"

// words reads the lists of words in the checkout of a node, nil when there are none.
func (w *Watcher) words(l *look) *peer.Words {
	if len(w.Profile.Names) == 0 {
		return nil
	}
	var bad error
	for _, name := range w.Profile.Names {
		for _, path := range w.places(l.group, name) {
			words, err := w.lists.Read(path)
			if err == nil {
				l.see(sightNames, "words of "+path, true)
				return words
			}
			if bad == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				bad = err
			}
		}
	}
	const instead = "; the name of the peer comes from its log"
	switch {
	case bad == nil:
		l.see(sightNames, "no "+filepath.Base(w.Profile.Names[0])+" in "+l.group.dir+instead, true)
	case errors.Is(bad, fs.ErrPermission):
		l.seen = append(l.seen, Sight{What: sightNames, Saw: "this user may not see them" + instead, Not: true})
	default:
		l.see(sightNames, bad.Error()+instead, false)
	}
	return nil
}

// maxEntries bounds how much of a directory is looked through. A checkout has about 30 entries.
const maxEntries = 256

// places are the paths that a file of a node, named by a profile, may have. The node's directory is one: its key was read.
func (w *Watcher) places(g *group, name string) []string {
	below, anywhere := strings.CutPrefix(name, "*/")
	root := w.path(g, "")
	if !anywhere {
		return []string{w.path(g, name)}
	}
	dir, err := os.Open(root)
	if err != nil {
		return nil
	}
	defer dir.Close()
	// A directory that changes meanwhile gives what it can.
	entries, _ := dir.ReadDir(maxEntries)
	var paths []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			paths = append(paths, filepath.Join(root, e.Name(), filepath.FromSlash(below)))
		}
	}
	slices.Sort(paths)
	return paths
}
