package rowgzip

import (
	"encoding/binary"
	"math/bits"
)

// token is a literal byte, or a match with what stood before: isMatch | (length-3)<<16 | distance-1.
type token uint32

const isMatch token = 1 << 31

const (
	minMatch    = 4 // a shorter one costs as much as its bytes
	maxMatch    = 258
	maxDistance = 32 << 10
	hashBits    = 10
)

// finder finds what a row has in common with the row before it.
type finder struct {
	at [1 << hashBits]int32 // by hash of four bytes: where they stand in the row before, plus one
}

func hash(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - hashBits) }

// tokens appends the tokens of r's text after the row before. The first head of them are of the text before the number. No match
// touches a number: it will be another one.
func (f *finder) tokens(dst []token, before, r *Row) (all []token, head int) {
	clear(f.at[:])
	for i := range max(len(before.text)-3, 0) {
		f.at[hash(before.text[i:])] = int32(i) + 1
	}
	s := search{f, before, r, before.digits(), r.digits(), 0}
	dst = s.part(dst, 0, r.cut)
	head = len(dst)
	return s.part(dst, r.cut, len(r.text)), head
}

// search is the search for one row's tokens.
type search struct {
	*finder
	before, row          *Row
	beforeDigits, digits int
	shift                int // of the last match: how much further in the row before the same stood
}

// part appends the tokens of the text from one place to another.
func (s *search) part(dst []token, from, to int) []token {
	text := s.row.text[:to]
	for i := from; i < to; {
		at, n := i+s.shift, s.common(i+s.shift, i, text)
		if n < minMatch && to-i >= minMatch {
			if k := int(s.at[hash(text[i:])]) - 1; k >= 0 {
				at, n = k, s.common(k, i, text)
			}
		}
		if n < minMatch {
			dst = append(dst, token(text[i]))
			i++
			continue
		}
		dst = appendMatch(dst, n, s.distance(at, i))
		s.shift = at - i
		i += n
	}
	return dst
}

// common is how many bytes at a place in the row before are those at the place i of text, none of them behind its number
// if the place is not. It is none when the place is too far away to be named.
func (s *search) common(at, i int, text []byte) int {
	old := s.before.text
	if at < 0 || at >= len(old) || s.distance(at, i) > maxDistance {
		return 0
	}
	if at < s.before.cut {
		old = old[:s.before.cut]
	}
	old, text = old[at:], text[i:]
	n, most := 0, min(len(old), len(text))
	for n+8 <= most {
		if differ := binary.LittleEndian.Uint64(old[n:]) ^ binary.LittleEndian.Uint64(text[n:]); differ != 0 {
			return n + bits.TrailingZeros64(differ)/8
		}
		n += 8
	}
	for n < most && old[n] == text[n] {
		n++
	}
	return n
}

// distance is how far before the place i of the row the place at of the row before is, with both numbers in their places.
func (s *search) distance(at, i int) int {
	d := len(s.before.text) - at + i
	if at < s.before.cut {
		d += s.beforeDigits
	}
	if i >= s.row.cut {
		d += s.digits
	}
	return d
}

// appendMatch appends a match of any length from minMatch on.
func appendMatch(dst []token, n, distance int) []token {
	for n > 0 {
		one := min(n, maxMatch)
		if rest := n - one; rest > 0 && rest < 3 { // the shortest there is
			one -= 3
		}
		dst = append(dst, isMatch|token(one-3)<<16|token(distance-1))
		n -= one
	}
	return dst
}
