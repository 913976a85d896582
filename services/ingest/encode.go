package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"

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

// encode makes the JSON of one heartbeat. Each request does it for itself, so that a batch only has to be joined.
func encode(h contract.Heartbeat) ([]byte, error) {
	b, err := marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode heartbeat: %w", err)
	}
	return b, nil
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
	b = append(b[:len(b)-1], `,"heartbeats":[`...)
	b = append(b, bytes.Join(heartbeats, []byte(","))...)
	return append(b, "]}"...), nil
}
