package evaluator

import (
	"encoding/json"
	"math"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// translate reads a message of the stream. With an error the result is an empty batch, or a command that does nothing.
func translate(m bus.Message) (node.Message, error) {
	out := node.Message{Seq: m.Seq, Stamp: node.Stamp(m.Stamp.UnixNano())}
	if m.Command {
		c, err := contract.DecodeCommand(m.Data)
		out.Command = command(c)
		return out, err
	}
	b, err := decodeBatch(m.Data)
	if err != nil {
		return out, err
	}
	out.Refused, out.Unsure = b.Refused, b.Unsure
	out.Heartbeats = make([]node.Heartbeat, len(b.Heartbeats))
	for i, h := range b.Heartbeats {
		out.Heartbeats[i] = heartbeat(h)
	}
	return out, nil
}

// decodeBatch is contract.DecodeBatch, in less than half the time: reading JSON is most of what a heartbeat costs the
// evaluator. What is out of the ordinary is left to contract, which says what is wrong.
func decodeBatch(data []byte) (contract.Batch, error) {
	var b contract.Batch
	if err := jsonv2.Unmarshal(data, &b, asContract); err != nil || b.V != contract.Version {
		return contract.DecodeBatch(data)
	}
	return b, nil
}

// asContract lets names differ in case, as encoding/json does: whoever reads a message must read the same.
var asContract = jsonv2.MatchCaseInsensitiveNames(true)

func heartbeat(h contract.Heartbeat) node.Heartbeat {
	return node.Heartbeat{
		NodeID: h.NodeID, IP: h.IP, Meta: h.Meta, Status: h.Status,
		Reason: h.Reason, Evidence: h.Evidence, Interval: seconds(h.IntervalSec),
		BootID: h.BootID, Seq: h.Seq,
		AgentVersion: h.Agent.Version, OS: h.Agent.OS, Arch: h.Agent.Arch,
		Metrics: string(h.Metrics), Workload: string(h.Workload),
		Annotations: annotations(h.Annotations),
	}
}

func annotations(from []contract.Annotation) []node.Annotation {
	var out []node.Annotation
	for _, a := range from {
		at := time.UnixMilli(a.At).UnixNano() // ingest saw to it that it fits
		out = append(out, node.Annotation{At: node.Stamp(at), Status: a.Status, Reason: a.Reason, Evidence: a.Evidence})
	}
	return out
}

// command does nothing for a kind that this program does not know: within a version new kinds are no reason to stop.
func command(c contract.Command) *node.Command {
	out := &node.Command{NodeID: c.NodeID, By: c.By}
	switch c.Kind {
	case contract.CommandDelete:
		out.Delete = true
	case contract.CommandName:
		out.Name = &c.Name
	case contract.CommandThreshold:
		out.Threshold = new(seconds(c.ThresholdSec))
	case contract.CommandImport:
		out.Import = imported(c.Nodes)
	case contract.CommandSettings:
		out.Settings = &node.Settings{Threshold: seconds(c.ThresholdSec), MaxNodes: c.MaxNodes}
	}
	return out
}

func imported(from []contract.Imported) []node.Imported {
	out := make([]node.Imported, len(from))
	for i, n := range from {
		out[i] = node.Imported{
			NodeID: n.NodeID, IP: n.IP, Meta: n.Meta, State: node.State(n.State), Heard: unixMs(n.HeardUnixMs),
		}
	}
	return out
}

// unixMs is 0 for what no stamp can say.
func unixMs(ms int64) node.Stamp {
	if ms <= 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return node.Stamp(time.UnixMilli(ms).UnixNano())
}

// seconds converts what JSON can say into a duration, without overflow: what is out of range becomes the bound.
func seconds(s float64) time.Duration {
	const most = float64(1<<62) / float64(time.Second)
	if !(s > -most) { // NaN too
		return -1 << 62
	}
	return time.Duration(math.Round(min(s, most) * float64(time.Second)))
}

func encodeSettings(s node.Settings, by string) []byte {
	data, err := json.Marshal(contract.Command{
		V: contract.Version, Kind: contract.CommandSettings, By: by,
		ThresholdSec: s.Threshold.Seconds(), MaxNodes: s.MaxNodes,
	})
	if err != nil {
		panic(err) // numbers and strings always marshal
	}
	return data
}
