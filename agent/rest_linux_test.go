package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

func TestOnlyTheProgramsOwnConstantPagesAreDropped(t *testing.T) {
	maps := `00400000-007c5000 r-xp 00000000 fe:01 12   /opt/my agent
007c5000-00b00000 r--p 003c5000 fe:01 12                     /opt/my agent
00b00000-00b40000 rw-p 00700000 fe:01 12                     /opt/my agent
00c00000-00c40000 r--s 00700000 fe:01 12                     /opt/my agent
c000000000-c000400000 rw-p 00000000 00:00 0
7f00000000-7f00001000 r-xp 00000000 fe:01 13                 /lib/other
7fff000000-7fff001000 r-xp 00000000 00:00 0                  [vdso]
`
	want := [][2]uintptr{{0x400000, 0x7c5000}, {0x7c5000, 0xb00000}}
	if got := mapped(maps, "/opt/my agent"); !reflect.DeepEqual(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestAProgramThatWasRelocatedIsLeftAlone: its constant pages are not what the file has.
func TestAProgramThatWasRelocatedIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "x.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]bool{"exe": true, "pie": false} {
		out := filepath.Join(dir, mode)
		build := exec.Command("go", "build", "-buildmode", mode, "-o", out, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if got := fixed(out); got != want {
			t.Errorf("%s: %v, want %v", mode, got, want)
		}
	}
	if fixed(source) || fixed(dir) {
		t.Error("what is no program")
	}
}

// TestRestLosesNothing: what is dropped comes back, again and again.
func TestRestLosesNothing(t *testing.T) {
	for range 20 {
		Rest()
		if got := mapped("00400000-007c5000 r-xp 00000000 fe:01 12 /x\n", "/x"); len(got) != 1 {
			t.Fatal(got)
		}
	}
}
