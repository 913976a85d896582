// Package rowgzip compresses a text again and again of which few rows change.
//
// Each row has a fixed text and in it one number that is another one each time. What the text comes to after the row
// before it is kept as bits with the row, so that an unchanged row costs the copying of a few words instead of a search
// for what it has in common with others. The result is one ordinary gzip member.
package rowgzip

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"
)

// Row is one row of a text. Rows are made by an Encoder and used with it alone.
type Row struct {
	// Number is written into the row's text; it must not be negative. It may change from one text to the next.
	Number int64

	id   uint64
	text []byte
	cut  int // where in text the number stands

	bits []uint64 // of the text before the number from a word's beginning on, then likewise of that behind it
	head int      // how many bits the part before the number has
	tail int      // and the one behind it
	made made     // for what bits are good
}

// made is all that a row's bits depend on beside its text: the row before it, how long the numbers of both are, since
// distances count over them, and the code.
type made struct {
	after               uint64
	afterDigits, digits int
	code                uint64
}

// Text is what stands before the row's number, and behind it.
func (r *Row) Text() (before, behind []byte) { return r.text[:r.cut], r.text[r.cut:] }

// Encoder compresses texts. It is not safe for concurrent use. The zero value is ready for use.
type Encoder struct {
	rows   uint64 // how many were made
	code   *code
	codes  uint64 // how many were chosen
	coded  int    // rows whose bits were made with the code
	find   finder
	tokens []token
	out    bitWriter
	plain  []byte // what is not in the checksum yet
}

// Row makes a row of the text that stands before its number, and that behind it.
func (e *Encoder) Row(before, behind []byte) *Row {
	e.rows++
	return &Row{id: e.rows, text: append(append(make([]byte, 0, len(before)+len(behind)), before...), behind...), cut: len(before)}
}

const (
	// codeRows is after how many times all rows were coded that a code is chosen anew: what it costs to code them all is
	// then little beside what it has cost, and what rows hold may be something else by now.
	codeRows = 8
	// plainBytes is how much text is gathered before it enters the checksum.
	plainBytes = 32 << 10
)

// Append appends the rows as gzip (RFC 1952), each with its number, and end behind the last of them.
func (e *Encoder) Append(dst []byte, rows []*Row, end string) []byte {
	if e.code == nil || e.coded > codeRows*len(rows) {
		e.choose(rows)
	}
	dst = append(dst, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff) // no name, no time, fast, any system
	e.out = bitWriter{to: dst}
	e.out.header(e.code)
	var sum uint32
	var size uint32
	e.plain = e.plain[:0]
	before := none
	var digits [20]byte
	for _, r := range rows {
		number := strconv.AppendInt(digits[:0], r.Number, 10)
		if want := (made{before.id, before.digits(), len(number), e.codes}); r.made != want {
			e.encode(before, r)
			r.made = want
		}
		tail := r.bits[(r.head+63)/64:]
		e.out.words(r.bits, r.head)
		e.out.literals(e.code, number)
		e.out.words(tail, r.tail)
		e.plain = append(append(append(e.plain, r.text[:r.cut]...), number...), r.text[r.cut:]...)
		if len(e.plain) >= plainBytes {
			sum, size = crc32.Update(sum, crc32.IEEETable, e.plain), size+uint32(len(e.plain))
			e.plain = e.plain[:0]
		}
		before = r
	}
	e.plain = append(e.plain, end...)
	sum, size = crc32.Update(sum, crc32.IEEETable, e.plain), size+uint32(len(e.plain))
	e.out.literals(e.code, []byte(end))
	e.out.symbol(e.code, endOfBlock)
	dst = e.out.flush()
	e.out.to = nil
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(dst, sum), size)
}

// none stands before the first row.
var none = &Row{}

// digits is how many the row's number has.
func (r *Row) digits() int {
	if r == none {
		return 0
	}
	n := 1
	for v := r.Number; v >= 10; v /= 10 {
		n++
	}
	return n
}

// encode makes the row's bits.
func (e *Encoder) encode(before, r *Row) {
	e.coded++
	head := 0
	e.tokens, head = e.find.tokens(e.tokens[:0], before, r)
	var w bitWriter
	w.tokens(e.code, e.tokens[:head])
	bits := w.flushWords(nil)
	r.head = w.written
	w = bitWriter{}
	w.tokens(e.code, e.tokens[head:])
	bits = w.flushWords(bits)
	r.tail = w.written
	r.bits = bits
}

// choose makes a code for what the rows hold.
func (e *Encoder) choose(rows []*Row) {
	var f frequencies
	before := none
	var digits [20]byte
	for _, r := range rows {
		e.tokens, _ = e.find.tokens(e.tokens[:0], before, r)
		f.count(e.tokens)
		for _, c := range strconv.AppendInt(digits[:0], r.Number, 10) {
			f.litlen[c]++
		}
		before = r
	}
	e.code = newCode(&f)
	e.codes++
	e.coded = 0
}
