package tail_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
)

// log is a file that a test writes and reads.
type log struct {
	*testing.T
	path string
	pos  tail.Position
}

func newLog(t *testing.T) *log { return &log{T: t, path: filepath.Join(t.TempDir(), "a [1].log")} }

func (l *log) add(text string) {
	l.Helper()
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		l.Fatal(err)
	}
}

func (l *log) do(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *log) read(limit int64) ([]string, int64) {
	l.Helper()
	// A position survives a restart of the program as JSON.
	data, err := json.Marshal(l.pos)
	l.do(err)
	l.pos = tail.Position{}
	l.do(json.Unmarshal(data, &l.pos))
	f, err := tail.Open(l.path, &l.pos)
	l.do(err)
	defer f.Close()
	if age := time.Since(f.Changed); age < -time.Second || age > time.Minute {
		l.Errorf("changed %v ago", age)
	}
	return f.Read(limit)
}

func (l *log) want(lines ...string) {
	l.Helper()
	got, skipped := l.read(1 << 20)
	if !slices.Equal(got, lines) || skipped != 0 {
		l.Errorf("read %q, skipped %d; want %q", got, skipped, lines)
	}
}

func TestOnlyWhatIsNew(t *testing.T) {
	l := newLog(t)
	l.add("one\ntwo\n")
	l.want("one", "two")
	l.want()
	l.add("three\nfo")
	l.want("three")
	l.want()
	l.add("ur\n")
	l.want("four")
	l.add(strings.Repeat("x", 20<<10)) // a line that does not end
	l.want(strings.Repeat("x", tail.MaxLine))
}

func TestRotation(t *testing.T) {
	begin := func(t *testing.T) *log {
		l := newLog(t)
		l.add("2026-01-01 one\n2026-01-01 two\n")
		l.want("2026-01-01 one", "2026-01-01 two")
		l.add("three\nend") // not read before the rotation
		return l
	}
	for _, suffix := range []string{".1", "-20260101", ".2026-01-01_00"} {
		t.Run("renamed "+suffix, func(t *testing.T) {
			l := begin(t)
			l.do(os.Rename(l.path, l.path+suffix))
			l.add("new\n")
			l.want("three", "end", "new")
			l.want()
		})
	}
	t.Run("renamed, and the new file is longer", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			return // without inodes they are one file
		}
		l := begin(t)
		l.do(os.Rename(l.path, l.path+".1"))
		l.add("2026-01-01 one\n2026-01-01 two\n" + strings.Repeat("new\n", 3)) // begins like the old one
		l.want("three", "end", "2026-01-01 one", "2026-01-01 two", "new", "new", "new")
	})
	t.Run("copied and truncated", func(t *testing.T) {
		l := begin(t)
		data, err := os.ReadFile(l.path)
		l.do(err)
		l.do(os.WriteFile(l.path+".1", data, 0o644))
		l.do(os.Truncate(l.path, 0))
		l.add("new\n")
		l.want("three", "end", "new")
		l.want()
	})
	t.Run("copied, truncated and grown beyond", func(t *testing.T) {
		l := begin(t)
		data, err := os.ReadFile(l.path)
		l.do(err)
		l.do(os.WriteFile(l.path+".1", data, 0o644))
		l.do(os.Truncate(l.path, 0))
		l.add(strings.Repeat("new\n", 30))
		l.want(append([]string{"three", "end"}, slices.Repeat([]string{"new"}, 30)...)...)
	})
	t.Run("truncated", func(t *testing.T) {
		l := begin(t)
		l.do(os.Truncate(l.path, 0))
		l.want()
		l.add("new\n")
		l.want("new")
	})
	t.Run("deleted and made anew", func(t *testing.T) {
		l := begin(t)
		l.do(os.Remove(l.path))
		if _, err := tail.Open(l.path, &l.pos); !os.IsNotExist(err) {
			t.Errorf("of a missing file: %v", err)
		}
		l.add("new\n")
		l.want("new")
	})
}

func TestLimit(t *testing.T) {
	l := newLog(t)
	for i := range 1000 {
		l.add(fmt.Sprintf("line %04d\n", i))
	}
	lines, skipped := l.read(95)
	if skipped != 10_000-95 || !slices.Equal(lines, []string{"line 0991", "line 0992", "line 0993", "line 0994", "line 0995", "line 0996", "line 0997", "line 0998", "line 0999"}) {
		t.Errorf("%q, skipped %d", lines, skipped)
	}
	l.want()
	// The limit holds over a rotation: the rest of the old file goes first.
	l.add(strings.Repeat("old\n", 10))
	l.do(os.Rename(l.path, l.path+".1"))
	l.add("new\n")
	if lines, skipped = l.read(12); skipped != 32 || !slices.Equal(lines, []string{"old", "new"}) {
		t.Errorf("%q, skipped %d", lines, skipped)
	}
	l.want()
}

// TestEveryLineOnce: whatever happens to a log between two looks, each line is read once, in order.
func TestEveryLineOnce(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 7))
		l := newLog(t)
		l.add("") // it is there
		var wrote, read []string
		rotations := 0
		for range 60 {
			for range random.IntN(4) {
				line := fmt.Sprintf("%d x%s", len(wrote), strings.Repeat("x", random.IntN(90)))
				wrote = append(wrote, line)
				l.add(line + []string{"\n", "\r\n"}[random.IntN(2)])
			}
			lines, _ := l.read(1 << 20)
			read = append(read, lines...)
			for range random.IntN(3) {
				line := fmt.Sprintf("%d late", len(wrote))
				wrote = append(wrote, line)
				l.add(line + "\n")
			}
			switch random.IntN(6) {
			case 0:
				if l.pos.Offset == 0 && l.pos.Inode == 0 {
					break // likewise, where files have no inode
				}
				rotations++
				l.do(os.Rename(l.path, l.path+fmt.Sprintf(".%d", rotations%3+1)))
			case 1:
				if l.pos.Offset == 0 {
					break // nothing tells a copy of a file of which nothing was read
				}
				rotations++
				data, err := os.ReadFile(l.path)
				l.do(err)
				l.do(os.WriteFile(l.path+".1", data, 0o644))
				l.do(os.Truncate(l.path, 0))
			}
			l.add("") // it is there
		}
		lines, _ := l.read(1 << 20)
		read = append(read, lines...)
		if !slices.Equal(read, wrote) {
			t.Fatalf("seed %d: read %d lines, wrote %d", seed, len(read), len(wrote))
		}
	}
}

func TestWhatIsNoFile(t *testing.T) {
	if f, err := tail.Open(t.TempDir(), &tail.Position{}); err == nil {
		f.Close()
		t.Error("a directory was opened")
	}
}

func TestSkip(t *testing.T) {
	l := newLog(t)
	l.add("one\n")
	f, err := tail.Open(l.path, &l.pos)
	l.do(err)
	f.Skip()
	f.Close()
	l.want()
	l.add("two\n")
	l.want("two")
}

func TestShare(t *testing.T) {
	tests := []struct {
		limit         int64
		pending, want []int64
	}{
		{100, nil, []int64{}},
		{100, []int64{10, 20}, []int64{10, 20}},
		{100, []int64{1000}, []int64{100}},
		{100, []int64{1000, 10, 1000}, []int64{45, 10, 45}},
		{100, []int64{0, 1000}, []int64{0, 100}},
		{100, []int64{1 << 62, 1 << 62, 0}, []int64{50, 50, 0}},
	}
	for _, tt := range tests {
		if got := tail.Share(tt.limit, tt.pending); !slices.Equal(got, tt.want) {
			t.Errorf("%d for %v: %v, want %v", tt.limit, tt.pending, got, tt.want)
		}
	}
}

func TestLines(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"a\nb\r\n\n  c  \n", []string{"a", "b", "  c"}},
		{"0%\r50%\r100%\n", []string{"0%", "50%", "100%"}},
		{"\x1b[32mINFO\x1b[0m \x1b[1;31mred\x1b[m", []string{"INFO red"}},
		{"\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b(B!", []string{"text link!"}},
		{"\x1b[", nil},
		{"\x1b", nil},
		{"a\tb\x00c\u202e", []string{"a bc"}},
		{"🐝 Joining round: 1", []string{"🐝 Joining round: 1"}},
		{"latin \xfc", []string{"latin �"}},
	}
	for _, tt := range tests {
		if got := tail.Lines([]byte(tt.in)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
	long := tail.Lines([]byte(strings.Repeat("ü", 3000)))
	if len(long) != 1 || len(long[0]) > tail.MaxLine || strings.ContainsRune(long[0], '�') {
		t.Errorf("a long line became %d bytes", len(long[0]))
	}
}

// FuzzLines: lines are printable, bounded UTF-8 without line ends, and made of nothing new.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\n\x1b[1;2mb\x1b]0;t\x07c"))
	f.Add([]byte("\x1b\x1b[\x1b]"))
	f.Add([]byte("[2025-08-31 17:07:54,997][a][ERROR] - x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, line := range tail.Lines(text) {
			if line == "" || len(line) > tail.MaxLine || strings.ContainsAny(line, "\r\n\t\x00\x1b\x7f") || line != strings.ToValidUTF8(line, "") {
				t.Errorf("%q", line)
			}
			if again := tail.Lines([]byte(line)); len(again) != 1 || again[0] != line {
				t.Errorf("%q became %q", line, again)
			}
		}
	})
}

// TestAHugeLine is read by its begin alone, in as many looks as it takes to end: in the rest nobody could tell what was
// announced as a secret before.
func TestAHugeLine(t *testing.T) {
	huge := strings.Repeat("a", 20<<10)
	l := newLog(t)
	l.add("one\n" + huge + " token=abc")
	l.want("one", huge[:tail.MaxLine])
	l.add("def")
	l.want()
	l.add(huge + "still the same line\ntwo\n")
	l.want("two")
	l.add("three\n")
	l.want("three")

	// Likewise when its begin was skipped, over a rotation, and after Skip.
	l.add("begin " + huge + "end")
	if lines, skipped := l.read(17 << 10); len(lines) != 0 || skipped == 0 {
		t.Errorf("%.40q, skipped %d", lines, skipped)
	}
	l.add("of it\nfour\n")
	l.do(os.Rename(l.path, l.path+".1"))
	l.add("five\n")
	l.want("four", "five")
	l.add("half")
	f, err := tail.Open(l.path, &l.pos)
	l.do(err)
	f.Skip()
	f.Close()
	l.add(" a line\rsix\n")
	l.want("six")
}
