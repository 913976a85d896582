package rowgzip

import "encoding/binary"

// bitWriter writes bits, the lowest first.
type bitWriter struct {
	to      []byte
	bits    uint64
	n       uint // how many of bits are used, fewer than 64
	written int
}

// add writes the lowest n bits of v, at most 64; those above must be zero.
func (w *bitWriter) add(v uint64, n uint) {
	w.bits |= v << w.n
	w.written += int(n)
	if w.n += n; w.n < 64 {
		return
	}
	w.to = binary.LittleEndian.AppendUint64(w.to, w.bits)
	w.n -= 64
	w.bits = v >> (n - w.n)
}

// words writes the first n bits of some words.
func (w *bitWriter) words(all []uint64, n int) {
	for i := 0; n > 0; i++ {
		w.add(all[i], uint(min(n, 64)))
		n -= 64
	}
}

func (w *bitWriter) symbol(c *code, s int) {
	w.add(uint64(c.litlen[s].bits), uint(c.litlen[s].len))
}

func (w *bitWriter) literals(c *code, text []byte) {
	for _, b := range text {
		w.symbol(c, int(b))
	}
}

func (w *bitWriter) tokens(c *code, all []token) {
	for _, t := range all {
		if t&isMatch == 0 {
			w.symbol(c, int(t))
			continue
		}
		length, distance := t.match()
		l := lengthCodes[length]
		w.symbol(c, 257+int(l))
		w.add(uint64(length-lengthBases[l].base), uint(lengthBases[l].extra))
		d := distanceCode(distance)
		w.add(uint64(c.dist[d].bits), uint(c.dist[d].len))
		w.add(uint64(distance-distanceBases[d].base), uint(distanceBases[d].extra))
	}
}

// header begins the only block of a stream, with its code. The lengths of codewords stand in it as they are, four bits
// each: it is written once for very many rows.
func (w *bitWriter) header(c *code) {
	w.add(1, 1) // the last block
	w.add(2, 2) // with a code of its own
	w.add(litlens-257, 5)
	w.add(dists-1, 5)
	w.add(19-4, 4)
	for i := range 19 {
		if i < 3 {
			w.add(0, 3) // no runs
		} else {
			w.add(4, 3)
		}
	}
	// All sixteen have four bits, so that each stands for itself, the highest bit first.
	for _, all := range [][]codeword{c.litlen[:], c.dist[:]} {
		for _, one := range all {
			w.add(uint64(reverse4[one.len]), 4)
		}
	}
}

var reverse4 = [16]uint8{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15}

// flush returns all that was written, filled up with zeros to a whole byte.
func (w *bitWriter) flush() []byte {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.to = append(w.to, byte(w.bits))
		w.bits >>= 8
	}
	return w.to
}

// flushWords appends all that was written as words, filled up with zeros.
func (w *bitWriter) flushWords(dst []uint64) []uint64 {
	for to := w.to; len(to) > 0; to = to[8:] {
		dst = append(dst, binary.LittleEndian.Uint64(to))
	}
	if w.n > 0 {
		dst = append(dst, w.bits)
	}
	return dst
}
