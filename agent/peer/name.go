package peer

import (
	"crypto/md5" // not for secrecy: RL-Swarm makes its names with it
	"fmt"
	"os"
)

// Words are the two lists that names are made of. They are RL-Swarm's own and come from the checkout of a node, which is
// sure to have those that its network uses.
type Words struct {
	adjectives, animals []string
}

// Name returns the name that RL-Swarm shows for a peer: two adjectives and an animal, chosen by the MD5 of its id. It is
// "" without words.
func (w *Words) Name(id string) string {
	if w == nil || len(w.adjectives) == 0 || len(w.animals) == 0 {
		return ""
	}
	sum := md5.Sum([]byte(id))
	pick := func(words []string, by byte) string { return words[int(by)%len(words)] }
	return pick(w.adjectives, sum[2]) + " " + pick(w.adjectives, sum[1]) + " " + pick(w.animals, sum[0])
}

const (
	maxSourceBytes = 64 << 10 // of a file with words; RL-Swarm's has 6 KiB
	maxLists       = 64       // files that are remembered
)

// Lists reads files with words, and remembers what they held until they change. Its zero value is ready. It is used by
// one goroutine at a time.
type Lists struct {
	known map[string]known
}

// known is what was found in a file as it was.
type known struct {
	info  os.FileInfo
	words *Words
	err   error
}

// Read returns the words of a file such as name_utils.py. The error is that of reading it (fs.ErrNotExist, among others),
// or says what is wrong with its lists.
func (l *Lists) Read(path string) (*Words, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if k, ok := l.known[path]; ok && unchanged(k.info, info) {
		return k.words, k.err
	}
	source, err := read(path, maxSourceBytes+1)
	if err != nil {
		return nil, err // not remembered: rights change without a trace in the time of the file
	}
	k := known{info: info}
	if k.words, k.err = ParseWords(source); k.err != nil {
		k.err = fmt.Errorf("%s: %w", path, k.err)
	}
	// Containers come and go, each with paths of its own.
	if l.known == nil || len(l.known) >= maxLists {
		l.known = make(map[string]known)
	}
	l.known[path] = k
	return k.words, k.err
}

func unchanged(a, b os.FileInfo) bool {
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}
