package node

import "encoding/binary"

// The texts of a record, in the order in which they are written.
const (
	textID = iota
	textBoot
	textIP
	textMeta
	textReason
	textEvidence
	textName
	textSenders
	textCount
)

// allTexts are those of one record.
type allTexts [textCount]string

// place is where a record's texts begin.
type place struct{ slab, offset uint32 }

// texts holds the texts of all records in a few large slabs: as strings they would be most of what the garbage collector
// has to look at, and with several hundred thousand nodes that took a third of the evaluator's time. Texts that change are
// written anew. Each record's are one entry: the record's number, and each text after its length.
type texts struct {
	slabs []slab
	free  []uint32 // places of slabs that are used up
	last  uint32   // the slab that is written to
}

// slab is one piece of memory. An entry larger than one has a slab of its own.
type slab struct {
	data []byte
	dead int // bytes that nobody needs any more
}

const (
	firstSize  = 4 << 10 // slabs of a small fold are small, too
	slabSize   = 256 << 10
	numberSize = 4
)

func newTexts() texts { return texts{slabs: make([]slab, 1)} }

// entry begins with the texts at a place.
func (t *texts) entry(p place) []byte { return t.slabs[p.slab].data[p.offset+numberSize:] }

func (t *texts) get(p place, field int) []byte {
	var first []byte
	rest := t.entry(p)
	for range field + 1 {
		first, rest = cut(rest)
	}
	return first
}

// all copies the texts at a place.
func (t *texts) all(p place) (all allTexts) {
	entry := t.entry(p)
	rest := string(entry[:length(entry)])
	for i := range all {
		all[i], rest = cut(rest)
	}
	return all
}

// write adds an entry.
func (t *texts) write(number uint32, all *allTexts) place {
	size := numberSize
	for _, s := range all {
		size += len(s) + lengthSize(len(s))
	}
	s := t.room(size)
	p := place{slab: t.last, offset: uint32(len(s.data))}
	s.data = binary.LittleEndian.AppendUint32(s.data, number)
	for _, text := range all {
		s.data = append(binary.AppendUvarint(s.data, uint64(len(text))), text...)
	}
	return p
}

// room is a slab in which so many bytes are free.
func (t *texts) room(size int) *slab {
	if s := &t.slabs[t.last]; len(s.data)+size <= cap(s.data) {
		return s
	}
	return t.begin(size)
}

// begin takes another slab to write to.
func (t *texts) begin(size int) *slab {
	size = max(size, min(firstSize*len(t.slabs), slabSize))
	next := slab{data: make([]byte, 0, size)}
	if n := len(t.free); n > 0 {
		t.last, t.free = t.free[n-1], t.free[:n-1]
		t.slabs[t.last] = next
	} else {
		t.last = uint32(len(t.slabs))
		t.slabs = append(t.slabs, next)
	}
	return &t.slabs[t.last]
}

// drop notes that an entry is not needed any more. It reports whether the slab is to be cleared: more than half of it is
// of no use.
func (t *texts) drop(p place) bool {
	s := &t.slabs[p.slab]
	s.dead += numberSize + length(t.entry(p))
	return s.dead > cap(s.data)/2
}

// clear gives the slab's memory back, after it moved what is needed: move is called for every entry, with the record's
// number, and moves it if it is there that the record's texts are.
func (t *texts) clear(slab uint32, move func(number uint32, p place)) {
	if slab == t.last {
		t.begin(0)
	}
	data := t.slabs[slab].data
	for at := 0; at < len(data); {
		p := place{slab: slab, offset: uint32(at)}
		move(binary.LittleEndian.Uint32(data[at:]), p)
		at += numberSize + length(t.entry(p))
	}
	t.slabs[slab].data, t.slabs[slab].dead = nil, 0
	t.free = append(t.free, slab)
}

// copy adds an entry that stands elsewhere.
func (t *texts) copy(from place) place {
	entry := t.slabs[from.slab].data[from.offset:]
	entry = entry[:numberSize+length(entry[numberSize:])]
	s := t.room(len(entry))
	p := place{slab: t.last, offset: uint32(len(s.data))}
	s.data = append(s.data, entry...)
	return p
}

// length of the texts that data begins with.
func length(data []byte) int {
	rest := data
	for range textCount {
		_, rest = cut(rest)
	}
	return len(data) - len(rest)
}

func lengthSize(n int) (size int) {
	for size = 1; n >= 0x80; size++ {
		n >>= 7
	}
	return size
}

// cut takes the first text off. It copies nothing.
func cut[T string | []byte](t T) (first, rest T) {
	length, shift, i := 0, 0, 0
	for ; ; i++ {
		length |= int(t[i]&0x7f) << shift
		if t[i] < 0x80 {
			break
		}
		shift += 7
	}
	end := i + 1 + length
	return t[i+1 : end], t[end:]
}
