package rowgzip

import (
	"cmp"
	"math/bits"
	"slices"
)

// The alphabets of deflate (RFC 1951, 3.2.5).
const (
	endOfBlock = 256
	litlens    = 286
	dists      = 30
	maxBits    = 15
)

// extraBase is the first length, or distance, of each code, and how many bits say which of those from there on it is.
type extraBase struct {
	base  int
	extra int
}

var (
	lengthBases   = bases(29, 3, 8, 2)
	distanceBases = bases(dists, 1, 4, 1)
	lengthCodes   = codesOf(lengthBases, maxMatch)
)

// bases lists codes: the first `plain` ones without extra bits, then 1<<same codes for each number of extra bits.
func bases(n, first, plain, same int) []extraBase {
	all := make([]extraBase, n)
	next := first
	for i := range all {
		extra := 0
		if i >= plain {
			extra = (i-plain)>>same + 1
		}
		all[i] = extraBase{next, extra}
		next += 1 << extra
	}
	if first == 3 {
		all[n-1] = extraBase{maxMatch, 0} // the longest has a code of its own
	}
	return all
}

// codesOf is the code of each value up to the greatest.
func codesOf(all []extraBase, greatest int) []uint16 {
	out := make([]uint16, greatest+1)
	for i, b := range all {
		for v := b.base; v <= greatest; v++ {
			out[v] = uint16(i)
		}
	}
	return out
}

// distanceCode is the code of a distance from 1 on.
func distanceCode(d int) int {
	if d <= 4 {
		return d - 1
	}
	top := bits.Len(uint(d-1)) - 1
	return 2*top + (d-1)>>(top-1)&1
}

// frequencies are how often the symbols are used.
type frequencies struct {
	litlen [litlens]int
	dist   [dists]int
}

func (f *frequencies) count(all []token) {
	for _, t := range all {
		if t&isMatch == 0 {
			f.litlen[t]++
			continue
		}
		length, distance := t.match()
		f.litlen[257+int(lengthCodes[length])]++
		f.dist[distanceCode(distance)]++
	}
}

func (t token) match() (length, distance int) { return int(t>>16&0xff) + 3, int(t&0x7fff) + 1 }

// codeword is how a symbol is written: its lowest bit first.
type codeword struct {
	bits uint16
	len  uint8
}

// code is a Huffman code in which every symbol can be written, so that it is good for rows that were not counted.
type code struct {
	litlen [litlens]codeword
	dist   [dists]codeword
}

func newCode(f *frequencies) *code {
	c := new(code)
	assign(c.litlen[:], lengths(f.litlen[:]))
	assign(c.dist[:], lengths(f.dist[:]))
	return c
}

// lengths are those of a Huffman code for symbols used so often, none longer than maxBits. What is seldom or never used
// counts as if it were used more often, as much more as it takes to keep within that.
func lengths(used []int) []uint8 {
	all := 0
	for _, n := range used {
		all += n
	}
	for least := all>>maxBits + 1; ; least *= 2 {
		if out := huffman(used, least); slices.Max(out) <= maxBits {
			return out
		}
	}
}

// huffman are the lengths of the codewords of symbols used so often, and at least so often.
func huffman(used []int, least int) []uint8 {
	type knot struct{ weight, parent int }
	n := len(used)
	order := make([]int, n)
	knots := make([]knot, n, 2*n-1)
	for i, u := range used {
		order[i], knots[i].weight = i, max(u, least)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(knots[a].weight, knots[b].weight) })
	leaf, inner := 0, n
	lightest := func() int {
		if leaf < n && (inner == len(knots) || knots[order[leaf]].weight <= knots[inner].weight) {
			leaf++
			return order[leaf-1]
		}
		inner++
		return inner - 1
	}
	for len(knots) < 2*n-1 {
		a, b := lightest(), lightest()
		knots[a].parent, knots[b].parent = len(knots), len(knots)
		knots = append(knots, knot{weight: knots[a].weight + knots[b].weight})
	}
	depth := make([]uint8, 2*n-1)
	for i := 2*n - 3; i >= 0; i-- { // parents come behind their children
		depth[i] = depth[knots[i].parent] + 1
	}
	return depth[:n]
}

// assign gives each symbol its codeword, as RFC 1951, 3.2.2, has it.
func assign(words []codeword, lengths []uint8) {
	var next [maxBits + 2]uint16
	for _, n := range lengths {
		next[n+1]++
	}
	first := uint16(0)
	for n := 1; n < len(next); n++ {
		first = (first + next[n]) << 1
		next[n] = first
	}
	for i, n := range lengths {
		// next[n] is now the first codeword of n bits.
		words[i] = codeword{bits.Reverse16(next[n]) >> (16 - n), n}
		next[n]++
	}
}
