package gpu

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// vendorAMD is the PCI id of AMD.
const vendorAMD = "0x1002"

// amd reads what the driver amdgpu shows of each processor: docs.kernel.org/gpu/amdgpu/driver-misc.html. Temperature is
// in thousandths of a degree, power in millionths of a watt.
func amd(sys string) []contract.GPU {
	cards, err := filepath.Glob(filepath.Join(sys, "class/drm/card*/device"))
	if err != nil {
		return nil
	}
	var all []contract.GPU
	for _, card := range cards {
		value := func(pattern string, unit float64) *float64 {
			v := number(first(filepath.Join(card, pattern)))
			if v != nil {
				*v *= unit
			}
			return v
		}
		whole := func(name string) *int64 {
			v, ok := integer(first(filepath.Join(card, name)))
			if !ok {
				return nil
			}
			return &v
		}
		use := value("gpu_busy_percent", 1)
		if first(filepath.Join(card, "vendor")) != vendorAMD || use == nil {
			continue // another's, or a connector of a card
		}
		name := first(filepath.Join(card, "product_name"))
		if name == "" {
			name = "AMD GPU"
		}
		all = append(all, contract.GPU{
			Name: name, UsePercent: use, MemUsedBytes: whole("mem_info_vram_used"), MemTotalBytes: whole("mem_info_vram_total"),
			TempCelsius: value("hwmon/hwmon*/temp1_input", 1e-3), PowerWatts: value("hwmon/hwmon*/power1_average", 1e-6),
		})
	}
	return all
}

// first is the text of the first file that a pattern names.
func first(pattern string) string {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return ""
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
