package node

import "time"

// KeepDeleted is for how long, by stamps, a tombstone is kept: a node that was deleted longer ago joins as any other.
const KeepDeleted = 90 * 24 * time.Hour

// bury notes when a node was deleted.
func (f *Fold) bury(id string, at Stamp) {
	f.deleted[id] = at
	f.pending.deleted[id] = at
	if f.oldest == 0 || at < f.oldest {
		f.oldest = at
	}
}

// unbury removes a tombstone and returns when the node was deleted.
func (f *Fold) unbury(id string) (at Stamp, ok bool) {
	if at, ok = f.deleted[id]; ok {
		delete(f.deleted, id)
		f.pending.deleted[id] = 0
	}
	return at, ok
}

// decay removes the tombstones that a message's stamp shows to be old, or they would grow for ever. It is done at every
// message, and not when a node comes back: stamps can step back, and then it would matter when it was done last.
func (f *Fold) decay(now Stamp) {
	if f.oldest == 0 || now.Since(f.oldest) <= KeepDeleted {
		return
	}
	f.oldest = 0
	for id, at := range f.deleted {
		switch {
		case now.Since(at) > KeepDeleted:
			f.unbury(id)
		case f.oldest == 0 || at < f.oldest:
			f.oldest = at
		}
	}
}
