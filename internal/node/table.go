package node

import (
	"hash/maphash"
	"iter"
)

// table holds the records of all nodes, by id. They lie side by side in pieces that never move, and refer to each other
// by number: a map of pointers would take half as much room again, and give the garbage collector more to look at.
type table struct {
	pieces  []*[pieceSize]record
	buckets []uint32 // number of the first record in each
	seed    maphash.Seed
	size    int
	last    uint32 // the highest number given so far; numbers count from 1
	free    uint32 // first record without a node
}

// pieceSize records are allocated at once.
const pieceSize = 1024

func newTable() table { return table{seed: maphash.MakeSeed(), buckets: make([]uint32, 1024)} }

func (t *table) at(number uint32) *record {
	return &t.pieces[(number-1)/pieceSize][(number-1)%pieceSize]
}

func (t *table) bucket(id string) *uint32 {
	return &t.buckets[maphash.String(t.seed, id)%uint64(len(t.buckets))]
}

// find returns nil when there is none.
func (t *table) find(id string) *record {
	for number := *t.bucket(id); number != 0; {
		r := t.at(number)
		if r.id() == id {
			return r
		}
		number = r.next
	}
	return nil
}

// add keeps a record of a node that has none.
func (t *table) add(r record) *record {
	if t.size == len(t.buckets) {
		t.grow()
	}
	number := t.free
	if number != 0 {
		t.free = t.at(number).next
	} else {
		if int(t.last) == len(t.pieces)*pieceSize {
			t.pieces = append(t.pieces, new([pieceSize]record))
		}
		t.last++
		number = t.last
	}
	first := t.bucket(r.id())
	r.self, r.next = number, *first
	*first = number
	t.size++
	kept := t.at(number)
	*kept = r
	return kept
}

// remove forgets a record: its room is taken by another.
func (t *table) remove(r *record) {
	number := t.bucket(r.id())
	for *number != r.self {
		number = &t.at(*number).next
	}
	*number = r.next
	free := r.self
	*r = record{next: t.free}
	t.free = free
	t.size--
}

func (t *table) grow() {
	t.buckets = make([]uint32, 2*len(t.buckets))
	for r := range t.all() {
		first := t.bucket(r.id())
		r.next = *first
		*first = r.self
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
