package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// reported is what the table shows of a node's last metrics and workload. They are an agent's own word and may be
// anything: what cannot be read is not shown.
type reported struct {
	Round, Phase, Peer string
	GPU, GPUName       string
}

func newReported(w *words, n *node.Node) (out reported) {
	var work contract.Workload
	if n.Workload != "" && json.Unmarshal([]byte(n.Workload), &work) == nil {
		if work.Round > 0 {
			out.Round = w.number(work.Round)
		}
		out.Peer = work.PeerName
		out.Phase = cmp.Or(w.reason(work.Phase), work.Phase)
	}
	var m contract.Metrics
	if n.Metrics != "" && json.Unmarshal([]byte(n.Metrics), &m) == nil {
		out.GPU, out.GPUName = gpus(w, m.GPUs)
	}
	return out
}

// gpus says how busy they are on average and how hot the hottest is, and which they are.
func gpus(w *words, all []contract.GPU) (now, names string) {
	if len(all) == 0 {
		return "", ""
	}
	var use, heat *float64
	var sum float64
	known := 0
	for _, g := range all {
		if g.UsePercent != nil {
			sum += *g.UsePercent
			known++
		}
		if g.TempCelsius != nil && (heat == nil || *g.TempCelsius > *heat) {
			heat = g.TempCelsius
		}
	}
	var parts []string
	if known > 0 {
		mean := sum / float64(known)
		use = &mean
		parts = append(parts, w.percent(*use, 0))
	}
	if heat != nil {
		parts = append(parts, fmt.Sprintf("%.0f °C", *heat))
	}
	return strings.Join(parts, " · "), gpuNames(all)
}

// gpuNames is "2 × RTX 4090": all are named as the first is.
func gpuNames(all []contract.GPU) string {
	name := all[0].Name
	for _, maker := range []string{"NVIDIA ", "GeForce ", "AMD ", "Tesla "} {
		name = strings.TrimPrefix(name, maker)
	}
	if len(all) == 1 || name == "" {
		return name
	}
	return fmt.Sprintf("%d × %s", len(all), name)
}
