package peer_test

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer"
	"github.com/gensyn-monitor/gensyn-monitor/agent/peer/peertest"
)

// public are peers of the public network with the names that it shows for them.
var public = map[string]string{
	"QmRAFupGJwJB8mGG6eNsAbo1CQeAGQeEWqZTvALybgBetc": "jagged spotted mandrill",
	"QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc": "timid tall spider",
	"QmYii94drSM2nDZ8BAbyzG2EHzC41ko5X1Xt1NcWvv3Xb6": "dormant toothy bat",
	"QmQ1cyNkEkEKajPmwRh4NwgpCjun8rVkmtAv8ttxXStKtA": "deadly grunting chimpanzee",
	"Qmd5Z5gHoA6rTG5ba8X5NmmyXCuC11L6kPzWhdcBfTDSPX": "ferocious giant hedgehog",
}

// TestPublicNames: the words of five names at the places of the lists that the MD5 of their ids gives, made-up words
// at all others. Two words for one place would mean that the rule is another one.
func TestPublicNames(t *testing.T) {
	adjectives, animals := peertest.Lists()
	if len(adjectives) != 245 || len(animals) != 220 {
		t.Fatalf("lists of %d and %d", len(adjectives), len(animals))
	}
	taken := make(map[*string]string)
	put := func(list []string, by byte, word string) {
		at := &list[int(by)%len(list)]
		if other, ok := taken[at]; ok && other != word {
			t.Errorf("%q and %q in one place", other, word)
		}
		*at, taken[at] = word, word
	}
	for id, name := range public {
		sum, words := md5.Sum([]byte(id)), strings.Fields(name)
		put(adjectives, sum[2], words[0])
		put(adjectives, sum[1], words[1])
		put(animals, sum[0], words[2])
	}
	words, err := peer.ParseWords([]byte(peertest.Source(adjectives, animals)))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range public {
		if got := words.Name(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	// Of what the rule gives to the lists' lengths: a list one word longer is another one.
	if words, err = peer.ParseWords([]byte(peertest.Source(append(adjectives, "more"), animals))); err != nil {
		t.Fatal(err)
	}
	if sum := md5.Sum([]byte(knownID)); words.Name(knownID) != adjectives[int(sum[2])%246]+" "+adjectives[int(sum[1])%246]+" "+animals[int(sum[0])%220] {
		t.Errorf("%q", words.Name(knownID))
	}
	if name := (*peer.Words)(nil).Name(knownID); name != "" {
		t.Errorf("without words: %q", name)
	}
}

// TestParseWords: what Python would read from them.
func TestParseWords(t *testing.T) {
	const animals = "\nANIMALS = ['z']\n"
	for source, want := range map[string]string{
		`ADJECTIVES = ["q"]`: "q",
		`adjectives=['q',]`:  "q",
		"\uFEFFAdjectives: list[str] = [ # a comment, \"not\", ]\n\t'q'\r\n] # end":   "q",
		"\"\"\"\nADJECTIVES = ['in a text']\n\"\"\"\nADJECTIVES = ['q']":              "q",
		"f(\nADJECTIVES = ['an argument'])\nADJECTIVES = ['q']":                       "q",
		"# ADJECTIVES = ['x'] it's\nADJECTIVES = ['q'] # it's":                        "q",
		"if x:\n    ADJECTIVES = ['deeper']\nMORE_ADJECTIVES = 1\nADJECTIVES = ['q']": "q",
		"x = 'it\\'s [' + \\\n\"\\\"\"\nADJECTIVES = ['q']":                           "q",
		"ADJECTIVES = [\n'q'\n'r' # one word\n\"s\",\n]":                              "qrs",
		"x = 'it\\\r\ns' + \\\r\n1\r\nADJECTIVES = ['q']\r":                           "q",
		"ADJECTIVES = ['q-r']": "q-r",
	} {
		words, err := peer.ParseWords([]byte(source + animals))
		if got := words.Name(knownID); got != want+" "+want+" z" {
			t.Errorf("%s\n%q, %v", source, got, err)
		}
	}
	if _, err := peer.ParseWords([]byte("ANIMALS = ['z']\nADJECTIVES = ['q']\n# it's")); err != nil {
		t.Errorf("a comment at the end: %v", err)
	}
}

// TestHostileWords: a list that is not understood is refused as a whole, since a word too few would move all others.
func TestHostileWords(t *testing.T) {
	good := peertest.Source(peertest.Lists())
	many := strings.Repeat("'q',", 1025)
	for name, source := range map[string]string{
		"empty":                    "",
		"one list alone":           "ANIMALS = ['z']",
		"the other alone":          "ADJECTIVES = ['q']",
		"binary":                   "\x00\xff\x7fELF",
		"no words":                 "ADJECTIVES = []\nANIMALS = ['z']",
		"a bracket in a word":      "ADJECTIVES = ['q', 'r]', 's']\nANIMALS = ['z']",
		"a quote in a word":        "ADJECTIVES = ['q', 'r\\'', 's']\nANIMALS = ['z']",
		"an escape":                "ADJECTIVES = ['\\x41']\nANIMALS = ['z']",
		"a line in a word":         "ADJECTIVES = ['q\nr']\nANIMALS = ['z']",
		"markup":                   "ADJECTIVES = ['<b>']\nANIMALS = ['z']",
		"a comment in a word":      "ADJECTIVES = ['q#', 'r']\nANIMALS = ['z']",
		"triple quotes":            "ADJECTIVES = [\"\"\"q\", \"r\"\"\"]\nANIMALS = ['z']",
		"an empty word":            "ADJECTIVES = ['q', '']\nANIMALS = ['z']",
		"no comma":                 "ADJECTIVES = ['q' r]\nANIMALS = ['z']",
		"a number":                 "ADJECTIVES = ['q', 1]\nANIMALS = ['z']",
		"a prefix":                 "ADJECTIVES = [b'q']\nANIMALS = ['z']",
		"computed":                 "ADJECTIVES = open('/etc/passwd').read()\nANIMALS = ['z']",
		"a list of that":           "ADJECTIVES = [w for w in 'q']\nANIMALS = ['z']",
		"turned round":             "ADJECTIVES = ['q', 'r'][::-1]\nANIMALS = ['z']",
		"more added":               "ADJECTIVES = ['q'] + X\nANIMALS = ['z']",
		"more added later":         "ADJECTIVES = ['q']\nADJECTIVES += ['r']\nANIMALS = ['z']",
		"sorted later":             "ADJECTIVES = ['q']\nADJECTIVES.sort(key=f)\nANIMALS = ['z']",
		"sorted without a key":     "ADJECTIVES = ['q']\nADJECTIVES.sort()\nANIMALS = ['z']",
		"given twice":              "ADJECTIVES = ['q']\nANIMALS = ['z']\nANIMALS = ['y']",
		"given anew after nothing": "ADJECTIVES = []\nADJECTIVES = ['q']\nANIMALS = ['z']",
		"taken apart":              "ADJECTIVES, X = ['q', 'r']\nANIMALS = ['z']",
		"more of nothing":          "ADJECTIVES += ['q']\nANIMALS = ['z']",
		"a type and a comment":     "ADJECTIVES: x # = ['q']\nANIMALS = ['z']",
		"a type and another name":  "ADJECTIVES: x; y = ['q']\nANIMALS = ['z']",
		"an old end of line":       "ADJECTIVES: x\ry = ['q']\nANIMALS = ['z']",
		"in a text alone":          "x = '''\nADJECTIVES = ['q']\nANIMALS = ['z']\n'''",
		"a text without end":       "ADJECTIVES = ['q']\nANIMALS = ['z']\nx = '''",
		"a quote without end":      "ADJECTIVES = ['q']\nANIMALS = ['z']\nx = 'y\n'",
		"a bracket without end":    "ADJECTIVES = ['q']\nANIMALS = ['z']\nx = (",
		"a bracket without begin":  "ADJECTIVES = ['q']\nANIMALS = ['z']\nx = )",
		"too many":                 "ADJECTIVES = [" + many + "]\nANIMALS = ['z']",
		"a long word":              "ADJECTIVES = ['" + strings.Repeat("q", 33) + "']\nANIMALS = ['z']",
		"too long":                 good + strings.Repeat("#", 64<<10),
	} {
		if words, err := peer.ParseWords([]byte(source)); err == nil || words != nil {
			t.Errorf("%s: %q", name, words.Name(knownID))
		}
	}
	// Cut anywhere before the end of the lists, it is refused.
	end := strings.Index(good, "]\n# fmt: on") + 1
	for n := range len(good) {
		words, err := peer.ParseWords([]byte(good[:n]))
		if n < end && err == nil || err == nil && words.Name(knownID) != peertest.Name(knownID) {
			t.Fatalf("cut after %d of %d bytes: %q, %v", n, len(good), words.Name(knownID), err)
		}
	}
}

// TestLists reads a file again when it has changed, and then alone.
func TestLists(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "name_utils.py")
	at := time.Now().Add(-time.Hour)
	var lists peer.Lists
	write := func(path, adjective string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(peertest.Source([]string{adjective}, []string{"z"})), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	want := func(adjective string) {
		t.Helper()
		words, err := lists.Read(path)
		if got := words.Name(knownID); got != adjective+" "+adjective+" z" {
			t.Errorf("%q, %v; want %s", got, err, adjective)
		}
	}
	if _, err := lists.Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	write(path, "qa", at)
	want("qa")
	write(path, "qb", at)
	want("qa") // nothing tells that it has changed
	write(path, "qb", at.Add(time.Second))
	want("qb")
	write(path, "qbb", at.Add(time.Second))
	want("qbb")
	other := filepath.Join(dir, "other.py")
	write(other, "qcc", at.Add(time.Second))
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	want("qcc")
	// Of many files, old ones are forgotten.
	write(path, "qdd", at.Add(time.Second))
	for i := range 64 {
		p := filepath.Join(dir, fmt.Sprint(i))
		write(p, "q", at)
		if _, err := lists.Read(p); err != nil {
			t.Fatal(err)
		}
	}
	want("qdd")
	// What is wrong with it is remembered and told again.
	write(path, "q]", at)
	for range 2 {
		if words, err := lists.Read(path); words != nil || err == nil || !strings.Contains(err.Error(), path+": ADJECTIVES: word 1: ") {
			t.Errorf("%v", err)
		}
	}
	if words, err := lists.Read(dir); words != nil || err == nil {
		t.Error("a directory was read")
	}
}

// TestAHugeFile of 10 MB is refused, and not taken into memory.
func TestAHugeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name_utils.py")
	data := peertest.Source(peertest.Lists())
	for _, fill := range []string{"", "\n", "# x\n"} {
		if err := os.WriteFile(path, []byte(data+strings.Repeat(fill, (10<<20)/max(len(fill), 1))), 0o644); err != nil {
			t.Fatal(err)
		}
		if fill == "" { // a hole, at the end
			if err := os.Truncate(path, 10<<20); err != nil {
				t.Fatal(err)
			}
		}
		var before, after runtime.MemStats
		var lists peer.Lists
		runtime.ReadMemStats(&before)
		words, err := lists.Read(path)
		runtime.ReadMemStats(&after)
		if words != nil || err == nil || !strings.Contains(err.Error(), "longer than 65536 bytes") {
			t.Errorf("%q: %v", fill, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%d bytes were allocated", used)
		}
	}
	// Exactly as long as allowed.
	if err := os.WriteFile(path, []byte(data+strings.Repeat("\n", 64<<10-len(data))), 0o644); err != nil {
		t.Fatal(err)
	}
	if words, err := new(peer.Lists).Read(path); words.Name(knownID) != peertest.Name(knownID) {
		t.Errorf("64 KiB: %v", err)
	}
}

func FuzzParseWords(f *testing.F) {
	// A short one: the engine makes each input that is new to it shorter, and counts nothing meanwhile.
	f.Add([]byte(peertest.Source([]string{"q"}, []string{"z"})))
	f.Add([]byte("ADJECTIVES = ['q']\nANIMALS: x = [\"z\" 'y', # ]\n]\nx = '''\\''' (\\\n)"))
	f.Fuzz(func(t *testing.T, source []byte) {
		words, err := peer.ParseWords(source)
		if (err == nil) != (words != nil) {
			t.Fatalf("%v, %v", words, err)
		}
		if name := words.Name(knownID); err == nil && (len(name) < 5 || len(name) > 3*32+2 || strings.Trim(name, " -abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
			t.Errorf("%q", name)
		}
	})
}
