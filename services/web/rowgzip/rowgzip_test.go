package rowgzip

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// plain is what a text says.
func plain(rows []*Row, end string) string {
	var b strings.Builder
	for _, r := range rows {
		before, behind := r.Text()
		fmt.Fprintf(&b, "%s%d%s", before, r.Number, behind)
	}
	return b.String() + end
}

func unpack(t testing.TB, packed []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	text, err := io.ReadAll(z) // it compares length and checksum, too
	if err != nil {
		t.Fatalf("%v after %d bytes", err, len(text))
	}
	return string(text)
}

func check(t testing.TB, e *Encoder, rows []*Row, end string) []byte {
	t.Helper()
	packed := e.Append([]byte("before"), rows, end)
	if !bytes.HasPrefix(packed, []byte("before")) {
		t.Fatal("what stood there before is gone")
	}
	packed = packed[len("before"):]
	if got, want := unpack(t, packed), plain(rows, end); got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	return packed
}

// some is a text as rows have it: much is the same, some of it is anything.
func some(rng *rand.Rand) (before, behind []byte) {
	word := func(most int) []byte {
		b := make([]byte, rng.IntN(most+1))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	before = fmt.Appendf(nil, `{"id":"node-%04d","at":17%08d,"age":`, rng.IntN(10000), rng.IntN(1e8))
	behind = fmt.Appendf(nil, `,"state":"%s","reason":%q}`, []string{"up", "down"}[rng.IntN(2)], word(3))
	switch rng.IntN(10) {
	case 0:
		return word(300), behind
	case 1:
		return before, word(5)
	case 2:
		return append(before, bytes.Repeat([]byte{'x'}, rng.IntN(1000))...), behind
	case 3:
		return nil, nil
	}
	return before, behind
}

// TestATextIsWhatItsRowsSay: whatever rows come, go, and change their places or their numbers.
func TestATextIsWhatItsRowsSay(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var e Encoder
		var rows []*Row
		for range 60 {
			for range rng.IntN(4) {
				at := rng.IntN(len(rows) + 1)
				rows = append(rows[:at:at], append([]*Row{e.Row(some(rng))}, rows[at:]...)...)
			}
			if len(rows) > 0 && rng.IntN(3) == 0 {
				at := rng.IntN(len(rows))
				rows = append(rows[:at:at], rows[at+1:]...)
			}
			if len(rows) > 1 && rng.IntN(5) == 0 {
				rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			}
			for _, r := range rows {
				switch rng.IntN(6) {
				case 0:
					r.Number = rng.Int64()
				case 1:
					r.Number++
				case 2:
					r.Number = rng.Int64N(12)
				}
			}
			check(t, &e, rows, []string{"", "]\n"}[rng.IntN(2)])
		}
	}
}

// TestMatchesEndWhereTheyMay: at the longest there is, at the number, and where the row before is too far away.
func TestMatchesEndWhereTheyMay(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 257, 258, 259, 260, 261, 262, 515, 516, 517, 518, maxDistance - 1, maxDistance, maxDistance + 1, 3 * maxDistance} {
		for _, m := range []int{0, 1, 3, 258, 600} {
			var e Encoder
			rng := rand.New(rand.NewPCG(uint64(n), uint64(m)))
			text := make([]byte, n+m)
			for i := range text {
				text[i] = byte(rng.Uint32())
			}
			rows := []*Row{e.Row(text[:n], text[n:]), e.Row(text[:n], text[n:]), e.Row(text[n:], text[:n])}
			for _, number := range []int64{0, 9, 10, 1 << 62} {
				rows[0].Number, rows[1].Number = number, 10*(number/10)
				check(t, &e, rows, "")
			}
		}
	}
}

// Codewords have fifteen bits at most, however unlike the symbols are.
func TestNoCodewordIsTooLong(t *testing.T) {
	falling := func(ratio float64) []int { // unlike symbols make long codewords
		used := make([]int, litlens)
		for i, n := 0, 1e9; i < len(used); i, n = i+1, n/ratio {
			used[i] = int(n)
		}
		return used
	}
	for _, used := range [][]int{falling(1.3), falling(1.618), falling(1.8), falling(2), falling(1.618)[:dists], make([]int, dists)} {
		sum := 0
		for i, n := range lengths(used) {
			if n == 0 || n > maxBits {
				t.Errorf("symbol %d has %d bits", i, n)
			}
			sum += 1 << (maxBits - n)
		}
		if sum != 1<<maxBits {
			t.Errorf("the code is not complete: %d of %d", sum, 1<<maxBits)
		}
	}
}

// fleet is rows that are alike, as those of /api/nodes are.
func fleet(e *Encoder, n int) []*Row {
	rows := make([]*Row, n)
	for i := range rows {
		rows[i] = fleetRow(e, i, 1772366300+i*7919%60)
	}
	return rows
}

func fleetRow(e *Encoder, i, seen int) *Row {
	r := e.Row(
		fmt.Appendf(nil, ",\n"+`{"node_id":"gpu-%05d","ip":"10.%d.%d.%d","last_seen":%d,"computed":"UP","last_state":"UP","meta":"rack %d","age_sec":`, i, i>>14&255, i>>7&127, i*7&255, seen, i/40),
		fmt.Appendf(nil, `,"state":"up","reason":null,"evidence":null,"name":null,"since":%d,"joined":%d,"threshold_sec":180,"interval_sec":60,"agent":{"version":"1.2.0","os":"linux","arch":"amd64"}}`, 1772000000-60*i, 1772000000-360*i))
	r.Number = int64(1772366360 - seen)
	return r
}

// What was not changed is not searched again: but for those whose numbers became longer, and their neighbours.
func TestARowThatIsTheSameCostsNothing(t *testing.T) {
	var e Encoder
	const n = 1000
	rows := fleet(&e, n)
	for _, r := range rows {
		r.Number = 50
	}
	check(t, &e, rows, "]")
	coded := e.coded
	for i := range int64(9) {
		for _, r := range rows {
			r.Number = 51 + i
		}
		check(t, &e, rows, "]")
	}
	if e.coded != coded {
		t.Errorf("%d rows were coded although nothing but numbers changed", e.coded-coded)
	}
	rows[500] = fleetRow(&e, 500, 1772366399)
	rows[500].Number = 11
	check(t, &e, rows, "]")
	if e.coded != coded+2 {
		t.Errorf("%d rows were coded for one that changed, want it and the next", e.coded-coded)
	}
	dst := make([]byte, 0, 1<<20)
	if got := testing.AllocsPerRun(10, func() { e.Append(dst, rows, "]") }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestItIsAsSmall as what a search of all of it makes, give or take a fifth, also long after the code was chosen.
func TestItIsAsSmall(t *testing.T) {
	var e Encoder
	const n = 5000
	var rows []*Row
	for range n { // the code is chosen for rows that have nothing in common with those that come
		rows = append(rows, e.Row([]byte(strings.Repeat("я", 50)), nil))
	}
	check(t, &e, rows, "]")
	codes := e.codes
	for round := range codeRows + 2 {
		rows = fleet(&e, n)
		for i := range rows {
			rows[i].Number += int64(round)
		}
		check(t, &e, rows, "]")
	}
	if e.codes != codes+1 {
		t.Errorf("%d codes were chosen, want one", e.codes-codes)
	}
	got := len(check(t, &e, rows, "]"))
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(z, plain(rows, "]"))
	_ = z.Close()
	t.Logf("%d bytes, %d by search", got, b.Len())
	if got > b.Len()*6/5 {
		t.Errorf("%d bytes, and %d by search", got, b.Len())
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("abcdefgh"), []byte("abcdefgh"), []byte("abcd"), []byte("efgh"), int64(1), int64(100))
	f.Fuzz(func(t *testing.T, a, b, c, d []byte, m, n int64) {
		var e Encoder
		rows := []*Row{e.Row(a, b), e.Row(c, d), e.Row(a, d), e.Row(a, b)}
		for i := range rows {
			rows[i].Number = []int64{m, n}[i%2] & (1<<63 - 1)
		}
		check(t, &e, rows, "")
		rows[1].Number = m >> 1 & (1<<62 - 1)
		check(t, &e, rows[1:], string(c))
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, changed := range []int{0, 1, 167} {
		b.Run(strconv.Itoa(changed)+" of 10,000 changed", func(b *testing.B) {
			var e Encoder
			rows := fleet(&e, 10_000)
			dst := e.Append(nil, rows, "]")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				for k := range changed {
					at := (i*changed + k) % len(rows)
					rows[at] = fleetRow(&e, at, 1772366300+i%60)
				}
				dst = e.Append(dst[:0], rows, "]")
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
	}
}
