// Package gpu measures graphics processors.
package gpu

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/command"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// timeout bounds the vendor's program: a processor that fell off its bus makes it hang.
const timeout = 5 * time.Second

// maxGPUs bounds what is reported.
const maxGPUs = 16

// columns are what nvidia-smi is asked for.
const columns = "name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"

// Read asks nvidia-smi and, for processors of AMD, the kernel, whose sys file system is at sys. Without either, or when
// nvidia-smi does not answer, there is nothing.
func Read(ctx context.Context, sys string) []contract.GPU {
	all := amd(sys)
	out, err := command.Run(ctx, timeout, "nvidia-smi", "--query-gpu="+columns, "--format=csv,noheader,nounits")
	if err == nil {
		all = append(parse(string(out)), all...)
	}
	return all[:min(len(all), maxGPUs)]
}

// parse reads lines of six columns. What a processor does not know, such as its power, reads [N/A], [Not Supported] or
// the like, and is left out.
func parse(text string) []contract.GPU {
	var all []contract.GPU
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) != 6 {
			continue
		}
		all = append(all, contract.GPU{
			Name:          strings.TrimSpace(fields[0]),
			UsePercent:    number(fields[1]),
			MemUsedBytes:  mebibytes(fields[2]),
			MemTotalBytes: mebibytes(fields[3]),
			TempCelsius:   number(fields[4]),
			PowerWatts:    number(fields[5]),
		})
	}
	return all
}

func number(s string) *float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || v != v || v < -1e12 || v > 1e12 {
		return nil
	}
	return &v
}

func mebibytes(s string) *int64 {
	v := number(s)
	if v == nil || *v < 0 {
		return nil
	}
	bytes := int64(*v * (1 << 20))
	return &bytes
}

func integer(s string) (int64, bool) {
	v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return v, err == nil && v >= 0
}
