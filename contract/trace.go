package contract

import (
	"strconv"
	"strings"
)

// Headers of messages. They stand beside what a message says: nothing is decided by them, and a reader that does not
// know them reads the same message.
const (
	// TracesHeader of a batch says which of its heartbeats are traced, as EncodeTraces writes it. It is there only when
	// some are.
	TracesHeader = "Gensyn-Traces"
	// TraceHeader of an event continues the trace of what brought it, as W3C's traceparent.
	TraceHeader = "traceparent"
)

// MaxTraces is how many heartbeats of one message can be traced. A trace is for looking at, and a batch of thousands
// must not carry one for each.
const MaxTraces = 16

// Trace is the trace of one of a batch's heartbeats.
type Trace struct {
	Heartbeat int    // which one, from 0
	Parent    string // as W3C's traceparent
}

// EncodeTraces writes the first MaxTraces as heartbeat=traceparent, separated by commas; "" for none.
func EncodeTraces(traces []Trace) string {
	var b strings.Builder
	for i, t := range traces[:min(len(traces), MaxTraces)] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(t.Heartbeat))
		b.WriteByte('=')
		b.WriteString(t.Parent)
	}
	return b.String()
}

// DecodeTraces reads what EncodeTraces wrote. What it cannot read it leaves out; whether a parent is one is not looked at.
func DecodeTraces(text string) (traces []Trace) {
	for part := range strings.SplitSeq(text, ",") {
		index, parent, ok := strings.Cut(part, "=")
		n, err := strconv.Atoi(index)
		if !ok || err != nil || n < 0 || parent == "" {
			continue
		}
		if traces = append(traces, Trace{n, parent}); len(traces) == MaxTraces {
			break
		}
	}
	return traces
}
