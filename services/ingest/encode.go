package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// marshal is json.Marshal without the escaping for HTML, which would make a text up to six times as long.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encode appends the JSON of one heartbeat, as marshal would make it. Each request does it for itself, so that a batch only
// has to be joined.
func encode(b []byte, h contract.Heartbeat) ([]byte, error) {
	o := objectWriter{b: slices.Grow(b, 256+len(h.Meta)+len(h.Evidence)+len(h.Metrics)+len(h.Workload))}
	o.b = append(o.b, `{"node_id":`...)
	o.b = appendText(o.b, h.NodeID)
	o.text(`,"ip":`, h.IP)
	o.text(`,"meta":`, h.Meta)
	o.text(`,"status":`, h.Status)
	o.text(`,"reason":`, h.Reason)
	o.text(`,"evidence":`, h.Evidence)
	o.seconds(`,"interval_sec":`, h.IntervalSec)
	o.text(`,"boot_id":`, h.BootID)
	if h.Seq != 0 {
		o.b = strconv.AppendInt(append(o.b, `,"seq":`...), h.Seq, 10)
	}
	o.agent(h.Agent)
	// Both are compact and valid: Decode made them so.
	o.raw(`,"metrics":`, h.Metrics)
	o.raw(`,"workload":`, h.Workload)
	if len(h.Annotations) > 0 {
		o.value(`,"annotations":`, h.Annotations)
	}
	return append(o.b, '}'), o.err
}

// objectWriter appends members that are not empty.
type objectWriter struct {
	b   []byte
	err error
}

func (o *objectWriter) text(name, s string) {
	if s != "" {
		o.b = appendText(append(o.b, name...), s)
	}
}

func (o *objectWriter) raw(name string, raw json.RawMessage) {
	if len(raw) > 0 {
		o.b = append(append(o.b, name...), raw...)
	}
}

// value appends whatever is rare enough to leave to encoding/json.
func (o *objectWriter) value(name string, v any) {
	b, err := marshal(v)
	if err != nil {
		o.err = fmt.Errorf("encode heartbeat: %w", err)
	}
	o.b = append(append(o.b, name...), b...)
}

func (o *objectWriter) seconds(name string, v float64) {
	switch {
	case v == 0:
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		o.b = strconv.AppendInt(append(o.b, name...), int64(v), 10)
	default:
		o.value(name, v)
	}
}

func (o *objectWriter) agent(a contract.Agent) {
	if a == (contract.Agent{}) {
		return
	}
	o.b = append(o.b, `,"agent":{`...)
	first := len(o.b)
	o.text(`,"version":`, a.Version)
	o.text(`,"os":`, a.OS)
	o.text(`,"arch":`, a.Arch)
	o.b = append(slices.Delete(o.b, first, first+1), '}') // its first comma
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// join makes the JSON of a batch from its head, whose Heartbeats are ignored, and encoded heartbeats.
func join(head contract.Batch, heartbeats [][]byte) ([]byte, error) {
	head.Heartbeats = nil
	b, err := marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if len(heartbeats) == 0 {
		return b, nil
	}
	size := len(b) + len(`,"heartbeats":[]}`)
	for _, h := range heartbeats {
		size += len(h) + 1
	}
	b = append(slices.Grow(b, size-len(b))[:len(b)-1], `,"heartbeats":[`...)
	for i, h := range heartbeats {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, h...)
	}
	return append(b, "]}"...), nil
}
