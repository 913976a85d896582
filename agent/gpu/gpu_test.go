package gpu_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/gpu"
)

// fake puts an nvidia-smi into the path that runs a script.
func fake(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func read(t *testing.T) string { return readWith(t, t.TempDir()) }

func readWith(t *testing.T, sys string) string {
	t.Helper()
	data, err := json.Marshal(gpu.Read(t.Context(), sys))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRead(t *testing.T) {
	fake(t, `case "$*" in
"--query-gpu=name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw --format=csv,noheader,nounits") ;;
*) echo "$*" >&2; exit 2 ;;
esac
echo "NVIDIA GeForce RTX 4090, 97, 20480, 24564, 61, 301.25"
echo "Tesla K80, 0, 1, 11441, [N/A], [Not Supported]"
echo "GRID, [Unknown Error], [N/A], nan, -5, ERR!"
echo "No devices were found"
`)
	want := `[{"name":"NVIDIA GeForce RTX 4090","use_percent":97,"mem_used_bytes":21474836480,"mem_total_bytes":25757220864,` +
		`"temp_celsius":61,"power_watts":301.25},` +
		`{"name":"Tesla K80","use_percent":0,"mem_used_bytes":1048576,"mem_total_bytes":11996758016},` +
		`{"name":"GRID","temp_celsius":-5}]`
	if got := read(t); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestNothing(t *testing.T) {
	t.Run("not installed", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if got := read(t); got != "null" && got != "[]" {
			t.Error(got)
		}
	})
	t.Run("it fails", func(t *testing.T) {
		fake(t, "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9")
		if got := read(t); got != "null" && got != "[]" {
			t.Error(got)
		}
	})
	t.Run("it hangs", func(t *testing.T) {
		fake(t, "sleep 60")
		begun := time.Now()
		if got := read(t); got != "null" && got != "[]" || time.Since(begun) > 8*time.Second {
			t.Errorf("%s after %v", got, time.Since(begun))
		}
	})
	t.Run("many", func(t *testing.T) {
		fake(t, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo 'x, 1, 2, 3, 4, 5'; done")
		if got := strings.Count(read(t), "name"); got != 16 {
			t.Errorf("%d processors", got)
		}
	})
}

func TestAMD(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	sys := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(sys, "class/drm", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("card0/device/vendor", "0x8086")
	write("card0/device/gpu_busy_percent", "5")
	write("card1/device/vendor", "0x1002")
	write("card1/device/gpu_busy_percent", "42")
	write("card1/device/mem_info_vram_used", "1000000000")
	write("card1/device/mem_info_vram_total", "17163091968")
	write("card1/device/hwmon/hwmon3/temp1_input", "61000")
	write("card1/device/hwmon/hwmon3/power1_average", "150250000")
	write("card1-DP-1/device/vendor", "0x1002")
	write("card2/device/vendor", "0x1002")
	write("card2/device/product_name", "Instinct MI300X")
	write("card2/device/gpu_busy_percent", "0")
	want := `[{"name":"AMD GPU","use_percent":42,"mem_used_bytes":1000000000,"mem_total_bytes":17163091968,"temp_celsius":61,` +
		`"power_watts":150.25},{"name":"Instinct MI300X","use_percent":0}]`
	if got := readWith(t, sys); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
