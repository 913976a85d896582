package node

import (
	"hash/maphash"
	"iter"
)

// table holds the records of all nodes, by id. They lie side by side in pieces that never move, and refer to each other
// by number: pointers would take more room, and give the garbage collector more to look at.
type table struct {
	texts   texts
	pieces  []*[pieceSize]record
	buckets []uint32 // number of the first record in each
	seed    maphash.Seed
	size    int
	last    uint32 // the highest number given so far; numbers count from 1
	free    uint32 // first record without a node
}

// pieceSize records are allocated at once.
const pieceSize = 256

func newTable() table {
	return table{texts: newTexts(), seed: maphash.MakeSeed(), buckets: make([]uint32, 1024)}
}

func (t *table) at(number uint32) *record {
	return &t.pieces[(number-1)/pieceSize][(number-1)%pieceSize]
}

func (t *table) bucket(id []byte) *uint32 {
	return &t.buckets[maphash.Bytes(t.seed, id)%uint64(len(t.buckets))]
}

func (t *table) bucketOf(r *record) *uint32 { return t.bucket(t.texts.get(r.texts, textID)) }

// find returns nil when there is none.
func (t *table) find(id string) *record {
	for number := *t.bucket([]byte(id)); number != 0; {
		r := t.at(number)
		if t.is(r, textID, id) {
			return r
		}
		number = r.next
	}
	return nil
}

// text is one of a node's texts.
func (t *table) text(r *record, field int) string { return string(t.texts.get(r.texts, field)) }

// is reports whether one of a node's texts is this one. It copies nothing.
func (t *table) is(r *record, field int, text string) bool {
	return string(t.texts.get(r.texts, field)) == text
}

// set changes a text, and reports whether it was another.
func (t *table) set(r *record, field int, text string) bool {
	if t.is(r, field, text) {
		return false
	}
	all := t.texts.all(r.texts)
	all[field] = text
	before := r.texts
	r.texts = t.texts.write(r.self, &all)
	t.drop(before)
	return true
}

// drop forgets texts.
func (t *table) drop(p place) {
	if !t.texts.drop(p) {
		return
	}
	t.texts.clear(p.slab, func(number uint32, p place) {
		if r := t.at(number); r.self != 0 && r.texts == p {
			r.texts = t.texts.copy(p)
		}
	})
}

// node is a node as far as the fold knows it.
func (t *table) node(r *record) Node { return joint(r, t.texts.all(r.texts)) }

// add keeps a node that is not there yet.
func (t *table) add(n *Node) *record {
	if t.size == len(t.buckets) {
		t.grow()
	}
	r := t.unused()
	number := r.self
	kept, all := split(n)
	*r = kept
	r.self, r.texts = number, t.texts.write(number, all)
	first := t.bucketOf(r)
	r.next, *first = *first, number
	t.size++
	return r
}

// unused is a record without a node, with nothing but its number.
func (t *table) unused() *record {
	if number := t.free; number != 0 {
		r := t.at(number)
		t.free, r.self = r.next, number
		return r
	}
	if int(t.last) == len(t.pieces)*pieceSize {
		t.pieces = append(t.pieces, new([pieceSize]record))
	}
	t.last++
	r := t.at(t.last)
	r.self = t.last
	return r
}

// remove forgets a node: its room is taken by another.
func (t *table) remove(r *record) {
	number := t.bucketOf(r)
	for *number != r.self {
		number = &t.at(*number).next
	}
	*number = r.next
	free, texts := r.self, r.texts
	*r = record{next: t.free}
	t.free = free
	t.size--
	t.drop(texts)
}

func (t *table) grow() {
	t.buckets = make([]uint32, 2*len(t.buckets))
	for r := range t.all() {
		first := t.bucketOf(r)
		r.next, *first = *first, r.self
	}
}

// all are the records, in no order that means anything.
func (t *table) all() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for number := uint32(1); number <= t.last; number++ {
			if r := t.at(number); r.self != 0 && !yield(r) {
				return
			}
		}
	}
}
