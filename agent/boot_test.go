package agent

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestBoot(t *testing.T) {
	tests := []struct {
		name, file string
		clock      int64
		id         string
		seq        int64
	}{
		{"both known", "5f0c2d5e\n", 12345, "5f0c2d5e", 12345},
		{"no clock", "5f0c2d5e\n", 0, "", 0},
		{"empty id", "\n", 12345, "", 0},
		{"no id", "", 12345, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, "sys/kernel/random/boot_id")
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.file != "" {
				if err := os.WriteFile(file, []byte(tt.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b := &Boot{proc: root, clock: func() int64 { return tt.clock }}
			if id, seq := b.Now(); id != tt.id || seq != tt.seq {
				t.Errorf("%q, %d; want %q, %d", id, seq, tt.id, tt.seq)
			}
		})
	}
}

// TestBootOfThisMachine: on Linux both are known, and seq counts milliseconds.
func TestBootOfThisMachine(t *testing.T) {
	b := NewBoot("/proc")
	begun := time.Now()
	id, first := b.Now()
	if known := runtime.GOOS == "linux"; (id != "") != known || (first > 0) != known {
		t.Fatalf("%q, %d on %s", id, first, runtime.GOOS)
	}
	if runtime.GOOS != "linux" {
		return
	}
	time.Sleep(20 * time.Millisecond)
	again, second := b.Now()
	if passed := time.Since(begun).Milliseconds(); again != id || second-first < 20 || second-first > passed+1 {
		t.Errorf("%q, %d after %q, %d: %d ms later", again, second, id, first, passed)
	}
}

// TestAProcessStandsInForABoot where the system tells none, and only there.
func TestAProcessStandsInForABoot(t *testing.T) {
	b := (&Boot{proc: t.TempDir(), clock: func() int64 { return 0 }}).OrProcess()
	id, seq := b.Now()
	again, later := b.Now()
	if len(id) < 20 || again != id || seq < 1 || later < seq {
		t.Errorf("%q, %d, then %q, %d", id, seq, again, later)
	}
	other, _ := (&Boot{proc: t.TempDir(), clock: func() int64 { return 0 }}).OrProcess().Now()
	if other == id {
		t.Error("two processes are one")
	}
	if runtime.GOOS == "linux" {
		known, _ := NewBoot("/proc").Now()
		if got, _ := NewBoot("/proc").OrProcess().Now(); got != known {
			t.Errorf("%q though the system tells %q", got, known)
		}
	}
}
